#include "tests/support/temp_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "dataplane/base/check.h"

namespace headgate::test {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "headgate-test-XXXXXX").string();
  HG_CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void TempFolder::write(std::string_view name, std::string_view content) const {
  const fs::path path = at(name);
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

void TempFolder::replace(std::string_view name, std::string_view content) const {
  const std::string beside = std::string(name) + ".new";
  write(beside, content);
  fs::rename(at(beside), at(name));
}

void TempFolder::make_folder(std::string_view name) const { fs::create_directories(at(name)); }

void TempFolder::link(const std::string& target, std::string_view name) const {
  const fs::path path = at(name);
  fs::create_directories(path.parent_path());
  fs::create_symlink(target, path);
}

void TempFolder::remove(std::string_view name) const { fs::remove_all(at(name)); }

void TempFolder::set_modified(std::string_view name, int64_t seconds) const {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  HG_CHECK(::utimensat(AT_FDCWD, at(name).c_str(), times, 0) == 0);
}

}  // namespace headgate::test
