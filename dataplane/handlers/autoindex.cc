#include "dataplane/handlers/autoindex.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/number.h"
#include "dataplane/http/date.h"
#include "dataplane/http/uri.h"

namespace headgate::handlers {
namespace {

constexpr size_t kMaxNames = 10'000;

struct Row {
  std::string name;
  bool folder = false;
  uint64_t size = 0;
  int64_t modified_s = 0;
};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

void append_html(std::string& page, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&': page += "&amp;"; break;
      case '<': page += "&lt;"; break;
      case '>': page += "&gt;"; break;
      case '"': page += "&quot;"; break;
      case '\'': page += "&#39;"; break;
      default: page += c; break;
    }
  }
}

void append_number(std::string& page, uint64_t value, size_t digits) {
  char text[20];
  const auto size = static_cast<size_t>(write_decimal(text, value) - text);
  if (size < digits) page.append(digits - size, '0');
  page.append(text, size);
}

void append_time(std::string& page, int64_t seconds) {
  const http::CivilTime time = http::civil_time(seconds);
  append_number(page, static_cast<uint64_t>(std::max<int64_t>(time.year, 0)), 4);
  page += '-';
  append_number(page, time.month, 2);
  page += '-';
  append_number(page, time.day, 2);
  page += ' ';
  append_number(page, time.hour, 2);
  page += ':';
  append_number(page, time.minute, 2);
}

// A link counts as what it leads to, when that lies below the folder: nothing about files elsewhere is told.
bool look_at(int folder, const char* name, Symlinks symlinks, struct stat& status) {
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (!S_ISLNK(status.st_mode) || symlinks == Symlinks::kRefuse) return true;
  const Result<UniqueFd> target = open_beneath(folder, name, symlinks);
  return target.has_value() && ::fstat(target->get(), &status) == 0;
}

void append_row(std::string& page, const Row& row, Arena& arena) {
  page += "<tr><td><a href=\"./";  // "./": a name with a colon is not a scheme
  page += http::encode_path(row.name, "", arena);
  if (row.folder) page += '/';
  page += "\">";
  append_html(page, row.name);
  if (row.folder) page += '/';
  page += "</a></td><td>";
  append_time(page, row.modified_s);
  page += "</td><td>";
  if (row.folder) {
    page += '-';
  } else {
    append_number(page, row.size, 1);
  }
  page += "</td></tr>\n";
}

}  // namespace

Result<std::string> list_folder(UniqueFd fd, std::string_view title, Symlinks symlinks) {
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(fd.get()));
  if (folder == nullptr) return system_error("list a folder");
  const int handle = fd.release();  // closedir closes it
  std::vector<Row> rows;
  bool more = false;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.')) continue;
    struct stat status {};
    if (!look_at(handle, entry->d_name, symlinks, status)) continue;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    if (rows.size() == kMaxNames) {
      more = true;
      break;
    }
    rows.push_back({.name = std::string(name),
                    .folder = S_ISDIR(status.st_mode),
                    .size = static_cast<uint64_t>(status.st_size),
                    .modified_s = status.st_mtim.tv_sec});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.folder != b.folder ? a.folder : a.name < b.name;
  });

  std::string page =
      "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
      "<title>Index of ";
  append_html(page, title);
  page += "</title><style>body{font-family:sans-serif;margin:2em}td{padding:.1em 2em .1em 0}</style></head><body>\n<h1>";
  append_html(page, title);
  page += "</h1>\n<table>\n";
  if (title != "/") page += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";
  Arena arena;
  for (const Row& row : rows) append_row(page, row, arena);
  page += "</table>\n";
  if (more) page += "<p>There are more files than are listed here.</p>\n";
  page += "</body></html>\n";
  return page;
}

}  // namespace headgate::handlers
