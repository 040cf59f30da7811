// last_good.h -- what served last, as bytes: for the file in -state-dir, and for the parent process.
//
//   "HGLG1\n", SHA-256 of the rest, then a control.v1.Push with every resource that serves
//
// The file is replaced by rename and not synced: after a power failure it may be the older one, or torn, which the digest
// shows. Secrets are left out of the file unless -persist-secrets; what goes to the parent stays in memory and has them.
// Thread: control.   Errors: those of the file system; kMalformed for bytes that are not of this format.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/tls/sha256.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::control {

bool is_last_good(std::string_view bytes);
Result<control::v1::Push> decode_last_good(std::string_view bytes);

// Those bytes, resource by resource: what is added is soon in the file, and nowhere else.
class LastGoodFile {
 public:
  // Without a name, for the parent. Null: the kernel gives none.
  static std::unique_ptr<LastGoodFile> in_memory();
  // DIR/last-good, mode 0600, when finish() was called; until then the one before it stays.
  static Result<std::unique_ptr<LastGoodFile>> in(const std::string& directory);
  LastGoodFile(const LastGoodFile&) = delete;
  LastGoodFile& operator=(const LastGoodFile&) = delete;
  ~LastGoodFile();

  void add(const control::v1::Resource& resource);
  // Once. The first error of everything before.
  Result<UniqueFd> finish();

 private:
  LastGoodFile(UniqueFd file, std::string directory);
  void write_waiting();

  UniqueFd file_;
  std::string directory_;  // empty: in memory, or finished
  std::string waiting_;
  tls::Sha256 digest_;
  Result<void> outcome_;
};

// kNotFound: there is none.
Result<std::string> read_last_good(const std::string& directory);

}  // namespace headgate::control
