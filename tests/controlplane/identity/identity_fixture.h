// identity_fixture.h -- the openssl command line, a store in memory, and a scripted API server for the tests of identity.
// Thread: test.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "controlplane/identity/secret_store.h"
#include "controlplane/identity/token_review.h"
#include "tests/support/temp_folder.h"

namespace headgate::identity {

// Output of a command of the shell with its errors; `status` 0 when it succeeded.
inline std::string run(const std::string& command, int* status = nullptr) {
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char piece[4096];
  while (const size_t count = std::fread(piece, 1, sizeof(piece), pipe)) output.append(piece, count);
  const int code = ::pclose(pipe);
  if (status != nullptr) *status = code;
  EXPECT_TRUE(status != nullptr || code == 0) << command << "\n" << output;
  return output;
}

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A request made by the openssl command line, which asks for names that nobody gave it.
inline std::string make_request(const test::TempFolder& folder, const std::string& key = "ec -pkeyopt ec_paramgen_curve:P-256") {
  run("openssl req -new -newkey " + key + " -nodes -keyout " + folder.at("client.key") + " -outform DER -out " +
      folder.at("client.csr") + " -subj /CN=admin -addext subjectAltName=URI:spiffe://cluster.local/ns/kube-system/sa/root");
  return read_whole(folder.at("client.csr"));
}

class MemoryStore final : public SecretStore {
 public:
  Result<StoredSecret> load(const std::string& name) override {
    ++loads;
    if (is_down) return Error{.code = Errc::kUnreachable, .detail = "down"};
    const auto found = secrets.find(name);
    if (found == secrets.end()) return Error{.code = Errc::kNotFound, .detail = "secret"};
    return found->second;
  }
  Result<std::string> save(const std::string& name, const SecretData& data, const std::string& version) override {
    if (is_down) return Error{.code = Errc::kUnreachable, .detail = "down"};
    if (before_save != nullptr) std::exchange(before_save, nullptr)();
    const auto found = secrets.find(name);
    if ((found == secrets.end() ? "" : found->second.version) != version) return Error{.code = Errc::kExists, .detail = "conflict"};
    ++saves;
    secrets[name] = {data, std::to_string(++last_version)};
    return secrets[name].version;
  }

  std::map<std::string, StoredSecret> secrets;
  std::function<void()> before_save;
  bool is_down = false;
  int loads = 0;
  int saves = 0;
  int last_version = 100;
};

inline TokenReview good_review(const std::string& name_space = "shop", const std::string& account = "web") {
  return {.authenticated = true,
          .error = "",
          .username = "system:serviceaccount:" + name_space + ":" + account,
          .groups = {"system:serviceaccounts", "system:serviceaccounts:" + name_space, "system:authenticated"},
          .audiences = {kTokenAudience},
          .extra = {{"authentication.kubernetes.io/pod-name", {"web-0"}},
                    {"authentication.kubernetes.io/pod-uid", {"0f4f-77"}}}};
}

class ScriptedReviewer final : public TokenReviewer {
 public:
  Result<TokenReview> review(const std::string& token, const std::string& audience) override {
    ++calls;
    last_audience = audience;
    if (is_down) return Error{.code = Errc::kUnreachable, .detail = "the API server does not answer"};
    const auto found = answers.find(token);
    return found == answers.end() ? TokenReview{} : found->second;
  }

  std::map<std::string, TokenReview> answers;
  std::string last_audience;
  bool is_down = false;
  int calls = 0;
};

}  // namespace headgate::identity
