// held_alone.h -- may what several shared be changed in place?
// Thread: any.
#pragma once

#include <memory>

namespace headgate {

// True: nobody else holds it, and all that others did with it has happened before.
template <typename T>
bool held_alone(const std::shared_ptr<T>& pointer) {
  if (pointer.use_count() != 1) return false;
  // Reading the count orders nothing; taking a reference the way weak pointers do is an acquiring read-modify-write.
  return std::weak_ptr<T>(pointer).lock() != nullptr;
}

}  // namespace headgate
