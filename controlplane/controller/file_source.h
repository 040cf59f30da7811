// file_source.h -- the plain JSON file as a set of resources: the same reader and checks as in the dataplane.
// Thread: the controller's loop (reads files).   Owner: Controller.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controlplane/translate/output.h"
#include "dataplane/base/file_print.h"

namespace headgate::controller {

class FileSource {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}

  // Looks whether the file, or one that it names (certificates, keys, zones), is another one than at the last call;
  // the first call always reads. Null: nothing new, or the new one is wrong, which `problems` then says line by line,
  // and what was read before stays valid.
  std::shared_ptr<const translate::Output> poll(std::vector<std::string>& problems);

 private:
  bool has_changed();

  const std::string path_;
  FilePrints prints_;  // of the file and of those it names
  bool read_once_ = false;
};

}  // namespace headgate::controller
