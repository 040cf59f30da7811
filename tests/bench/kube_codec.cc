// kube_codec.cc -- how fast lists of the API server become messages.
// links: headgate_cp_kube
#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "controlplane/kube/codec.h"
#include "controlplane/kube/splitter.h"
#include "kubernetes/networking.pb.h"

using namespace headgate;        // NOLINT
using namespace headgate::kube;  // NOLINT

namespace {

std::string ingress(int number, bool with_managed_fields) {
  const std::string name = "ingress-" + std::to_string(number);
  std::string text = R"({"metadata":{"name":")" + name + R"(","namespace":"shop","uid":"0b5a7f0e-3f5c-4d5e-9a57-0123456789ab",)" +
                     R"("resourceVersion":"123456","generation":1,"creationTimestamp":"2026-01-31T10:20:30Z",)" +
                     R"("labels":{"app.kubernetes.io/name":"cart","app.kubernetes.io/part-of":"shop"},)" +
                     R"("annotations":{"nginx.ingress.kubernetes.io/rewrite-target":"/$1"})";
  if (with_managed_fields) {
    text += R"(,"managedFields":[{"manager":"kubectl-client-side-apply","operation":"Update","fieldsType":"FieldsV1","fieldsV1":{)";
    for (int i = 0; i < 20; ++i) text += R"("f:field)" + std::to_string(i) + R"(":{".":{},"f:inner":{}},)";
    text += R"("f:spec":{}}}])";
  }
  text += R"(},"spec":{"ingressClassName":"headgate","rules":[)";
  for (int i = 0; i < 4; ++i) {
    text += std::string(i == 0 ? "" : ",") + R"({"host":"host)" + std::to_string(i) +
            R"(.example.test","http":{"paths":[{"path":"/api","pathType":"Prefix","backend":{"service":{"name":"cart","port":{"number":80}}}}]}})";
  }
  return text + R"(]},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}})";
}

void measure(const char* what, bool with_managed_fields) {
  std::string list = R"({"metadata":{"resourceVersion":"1"},"items":[)";
  constexpr int kObjects = 5000;
  for (int i = 0; i < kObjects; ++i) list += (i == 0 ? "" : ",") + ingress(i, with_managed_fields);
  list += "]}";
  const Codec codec(ObjectKind::kIngress);
  for (const char* how : {"split only", "decoded", "protobuf"}) {
    const bool decode = how[0] == 'd';
    ListSplitter splitter;
    std::vector<ObjectPtr> objects;
    std::string why;
    const std::clock_t begin = std::clock();  // of the processor: other programs do not count
    for (size_t at = 0; at < list.size(); at += 4096) {
      (void)splitter.feed(std::string_view(list).substr(at, 4096), [&](std::string_view text) -> Result<void> {
        if (decode) {
          if (auto object = codec.decode(text, why)) objects.push_back(*object);
        } else if (how[0] == 'p') {  // its own parser, for comparison
          auto object = std::make_shared<kubernetes::Ingress>();
          google::protobuf::util::JsonParseOptions options;
          options.ignore_unknown_fields = true;
          const auto parsed = google::protobuf::util::JsonStringToMessage(std::string(text), object.get(), options);
          if (parsed.ok()) objects.push_back(std::move(object));
        }
        return {};
      });
    }
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("%-24s %-10s %6zu objects %6.1f MB %7.1f MB/s %6.1f us each\n", what, how,
                objects.size(), static_cast<double>(list.size()) / 1e6, static_cast<double>(list.size()) / 1e6 / seconds,
                seconds * 1e6 / kObjects);
  }
}

}  // namespace

int main() {
  measure("without managedFields", false);
  measure("with managedFields", true);
}
