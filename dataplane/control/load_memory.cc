#include "dataplane/control/load_memory.h"

#include <cstdlib>  // says whether this is glibc

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace headgate::control {

void release_load_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace headgate::control
