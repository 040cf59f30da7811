// startup_pages.h -- gives code pages back that only the start of the program needed.
// Thread: any.
#pragma once

namespace headgate::control {

// Unmaps the code of the program and its libraries from this process's page tables; what is needed again is mapped again
// from the page cache, piece by piece. Only code: it is never written, whereas relocated data would be lost. Does nothing
// where /proc/self/maps does not exist.
void release_startup_pages();

}  // namespace headgate::control
