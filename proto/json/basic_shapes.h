// basic_shapes.h -- the shapes that several sections of the users' file share.
// Thread: any (constant tables).   Owner: file_shape.cc, filter_shapes.h.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/json/shape.h"

namespace headgate::json {

using enum ShapeKind;
inline constexpr Presence kRequired = Presence::kRequired;
inline constexpr double kMaxU32 = 4294967295.0;
inline constexpr double kMaxTtl = 2147483647.0;  // RFC 2181 8
inline constexpr double kYear = 366.0 * 86400;

inline constexpr Shape kText{.kind = kString, .expected = "a string"};
inline constexpr Shape kTruth{.kind = kBoolean, .expected = "true or false"};
inline constexpr Shape kTexts{.kind = kOneOrMany, .expected = "a string or a list of strings", .item = &kText};
inline constexpr Shape kStringMap{.kind = kMap, .expected = "an object of strings", .item = &kText};

inline constexpr Shape kSeconds{
    .kind = kNumber, .expected = "a number of seconds from 0.001 to 31622400", .minimum = 0.001, .maximum = kYear};
inline constexpr Shape kSecondsOrZero{
    .kind = kNumber, .expected = "a number of seconds from 0 to 31622400", .minimum = 0, .maximum = kYear};
inline constexpr Shape kCount{
    .kind = kInteger, .expected = "a whole number, 0 for no limit", .minimum = 0, .maximum = kMaxU32};
inline constexpr Shape kTtl{
    .kind = kInteger, .expected = "a number of seconds from 0 to 2147483647", .minimum = 0, .maximum = kMaxTtl};
inline constexpr Shape kU16{.kind = kInteger, .expected = "a whole number from 0 to 65535", .minimum = 0, .maximum = 65535};
inline constexpr Shape kU32{
    .kind = kInteger, .expected = "a whole number from 0 to 4294967295", .minimum = 0, .maximum = kMaxU32};
inline constexpr Shape kBacklog{
    .kind = kInteger, .expected = "a whole number from 1 to 1000000", .minimum = 1, .maximum = 1000000};
inline constexpr Shape kStatus{.kind = kInteger, .expected = "a status code from 200 to 599", .minimum = 200, .maximum = 599};
inline constexpr std::string_view kRedirectExpected = "a status code of 300, 301, 302, 303, 307 or 308";
inline constexpr Shape kRedirectStatus{.kind = kInteger, .expected = kRedirectExpected, .minimum = 300, .maximum = 308};

inline bool is_cidr(std::string_view text) { return Cidr::parse(text).has_value(); }
inline constexpr Shape kCidr{
    .kind = kString, .expected = "an address or a CIDR range such as \"10.0.0.0/8\"", .accepts = is_cidr};
inline constexpr Shape kCidrs{.kind = kOneOrMany, .expected = "a CIDR range or a list of them", .item = &kCidr};

inline bool is_host_pattern(std::string_view text) { return host_pattern_kind(text) != HostPatternKind::kInvalid; }
inline constexpr Shape kHost{
    .kind = kString, .expected = "a host name, \"*.example.com\" or \"*\"", .accepts = is_host_pattern};
inline constexpr Shape kHosts{
    .kind = kOneOrMany, .expected = "a host name or a list of them", .item = &kHost, .at_least_one = true};

inline bool is_method(std::string_view text) { return is_token(text); }
inline constexpr Shape kMethod{.kind = kString, .expected = "a method such as \"GET\"", .accepts = is_method};
inline constexpr Shape kMethods{
    .kind = kOneOrMany, .expected = "a method or a list of methods", .item = &kMethod, .at_least_one = true};

inline constexpr Shape kProxyPass{.kind = kString, .expected = "http://HOST:PORT, unix:///PATH or upstream://NAME"};

}  // namespace headgate::json
