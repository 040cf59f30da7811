// values.h -- checks of single values that several resources share.
// Thread: any (pure).   Owner: the check of the resource.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <span>
#include <string>
#include <string_view>

#include "headgate/config/v1/upstream.pb.h"
#include "headgate/config/v1/value.pb.h"
#include "proto/check/check.h"

namespace headgate::check {

// Which $variables a text may use.
enum class TextScope : uint8_t {
  kRequest,   // known when a request has been read
  kResponse,  // plus what is known once it is answered: logs, response fields
};

// A name without its "$".
struct Variable {
  std::string_view name;
  TextScope scope;
};
// "field[3]", for the path of a problem.
std::string at(std::string_view field, int index);

std::span<const Variable> variables();
std::span<const Variable> variable_families();  // "header_" and the like

// Reports unknown $variables of `text`. `groups`: how many regex groups $1..$9 may refer to; -1: none at all.
void check_text(std::string_view field, std::string_view text, TextScope scope, int groups, Problems& problems);

// A protocol name of RFC 7301 as people write it: 1 to 255 visible ASCII characters, "http/1.1".
bool is_alpn_name(std::string_view name);

void check_cidr(std::string_view field, int index, std::string_view text, Problems& problems);
// 0 < duration <= 366 days when set; `zero_allowed` lets 0 pass.
void check_duration(std::string_view field, bool is_set, const google::protobuf::Duration& duration, bool zero_allowed,
                    Problems& problems);
void check_resource_name(std::string_view name, Problems& problems);
void check_field_name(std::string_view field, std::string_view name, Problems& problems);
void check_field_value(std::string_view field, std::string_view value, Problems& problems);
void check_name_values(std::string_view field, const google::protobuf::RepeatedPtrField<config::v1::NameValue>& list,
                       TextScope scope, Problems& problems);
void check_text_match(const config::v1::TextMatch& match, Problems& problems);
// Compiles; returns the number of groups, or -1 after reporting.
int check_regex(std::string_view field, std::string_view pattern, Problems& problems);
void check_status(std::string_view field, uint32_t status, uint32_t lowest, uint32_t highest, Problems& problems);
void check_balance(const config::v1::LoadBalancing& balance, Problems& problems);
void check_retry(const config::v1::RetryPolicy& retry, Problems& problems);
// HOST:PORT with an IP address.
void check_ip_port(std::string_view field, int index, std::string_view text, Problems& problems);

}  // namespace headgate::check
