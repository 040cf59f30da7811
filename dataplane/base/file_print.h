// file_print.h -- what tells one state of a file from another without reading it.
//
// Taken before a file is read: a change while it is being read then shows as a change later, never as nothing.
// Thread: any.   Owner: the caller, by value.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace headgate {

struct FilePrint {  // all zero: there is no such file
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;

  // Of what the path leads to now, links followed.
  static FilePrint of(const std::string& path);
  bool operator==(const FilePrint&) const = default;
};

using FilePrints = std::map<std::string, FilePrint>;  // by path

// Takes all of them anew. The paths whose print is another one now, in order.
std::vector<std::string> refresh(FilePrints& prints);

}  // namespace headgate
