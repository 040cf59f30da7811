// autoindex.h -- the listing of a folder as an HTML page.
// Folders first, then files, by name; no dot files, nothing but folders and regular files. Names are escaped for HTML and
// for URLs. At most 10,000 names; the page says when there are more.
// Thread: worker (reads the folder, may block on the disk).
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/handlers/beneath.h"

namespace headgate::handlers {

// `title`: the decoded path of the folder with its slashes; "/docs/". Links are listed when they are followed and lead
// to something below this folder.
Result<std::string> list_folder(UniqueFd folder, std::string_view title, Symlinks symlinks);

}  // namespace headgate::handlers
