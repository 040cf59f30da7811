// resource_output.h -- configuration messages as the Output of a translation, for tests of the stream.
// Thread: any (pure).   Owner: -.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controlplane/translate/output.h"
#include "headgate/config/v1/resources.pb.h"

namespace headgate::testing_support {

// Every message of the set, settings too when there are any; ordered.
std::shared_ptr<const translate::Output> output_of(const config::v1::ResourceSet& set);

// One plain HTTP listener at 127.0.0.1:`port` and its table "web"; `hosts` Upstreams with a shard of two endpoints each.
std::vector<translate::ResourcePtr> many_hosts_base(uint16_t port, size_t hosts);
std::string host_name(size_t index);
// A VirtualHost of two routes: "/" answers `text` and a newline, "/api" goes to the Upstream of the same index.
translate::ResourcePtr one_host(size_t index, const std::string& text);

}  // namespace headgate::testing_support
