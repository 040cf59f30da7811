// load_memory.h -- gives back to the system what loading a big configuration left in the allocator.
// Thread: control.   Owner: nobody.
#pragma once

namespace headgate::control {

// Takes milliseconds: after something big only.
void release_load_memory();

}  // namespace headgate::control
