// temp_folder.h -- a folder of its own for a test, removed with everything in it.
#pragma once

#include <string>
#include <string_view>

namespace headgate::test {

class TempFolder {
 public:
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Folders on the way are made.
  void write(std::string_view name, std::string_view content) const;
  // Writes beside it and renames: another inode.
  void replace(std::string_view name, std::string_view content) const;
  void make_folder(std::string_view name) const;
  void link(const std::string& target, std::string_view name) const;
  void remove(std::string_view name) const;
  // Seconds since 1970.
  void set_modified(std::string_view name, int64_t seconds) const;

 private:
  std::string path_;
};

}  // namespace headgate::test
