// filter_shapes.h -- the keys of a rule that change, refuse or copy requests on their way to its handler.
// Thread: any (constant tables).   Owner: file_shape.cc.
#pragma once

#include "proto/json/basic_shapes.h"

namespace headgate::json {

inline constexpr Shape kErrorStatus{
    .kind = kInteger, .expected = "a status code from 400 to 599", .minimum = 400, .maximum = 599};
inline constexpr Shape kPositive{
    .kind = kInteger, .expected = "a whole number above 0", .minimum = 1, .maximum = kMaxU32};
inline constexpr Shape kBytesAboveZero{
    .kind = kInteger, .expected = "a number of bytes above 0", .minimum = 1, .maximum = 9007199254740991.0};
inline constexpr Shape kByteCount{
    .kind = kInteger, .expected = "a number of bytes, 0 for none", .minimum = 0, .maximum = 9007199254740991.0};

inline constexpr std::string_view kSatisfyWords[] = {"all", "any"};
inline constexpr Shape kSatisfy{.kind = kString, .expected = "\"all\" or \"any\"", .words = kSatisfyWords};
inline constexpr Key kBasicAuthKeys[] = {
    {"realm", &kText, "What the browser shows.", "\"Restricted\""},
    {"users", &kStringMap, "Name -> hash: bcrypt, apr1, {SHA}, SHA-256 or SHA-512 as htpasswd and mkpasswd make them."},
    {"file", &kText, "A file of NAME:HASH lines (htpasswd), watched."},
    {"keep_authorization", &kTruth, "Send the Authorization field on.", "false"},
};
inline constexpr Shape kBasicAuth{
    .kind = kObject, .expected = "an object {users, file, realm}", .keys = kBasicAuthKeys, .name = "basic_auth"};
inline constexpr Key kExternalAuthKeys[] = {
    {"to", &kProxyPass, "The server that is asked: http://HOST:PORT, unix:///PATH or upstream://NAME.", {}, kRequired},
    {"path", &kText, "Path that is asked for; $variables.", "\"/\""},
    {"host", &kText, "Host of the question; default the server's."},
    {"method", &kMethod, "Method of the question; when given, X-Original-URI and X-Scheme are sent, too."},
    {"sign_in", &kText, "Where a client goes instead of a 401; $variables."},
    {"sign_in_parameter", &kText, "Parameter that tells where it came from.", "\"rd\""},
    {"response_headers", &kTexts, "Fields of the answer that the target gets; those it lacks are removed."},
    {"headers", &kStringMap, "Fields that are added to the question; $variables."},
    {"timeout", &kSeconds, "Seconds for the answer, then 500.", "5"},
    {"redirect", &kText, "Value of X-Auth-Request-Redirect; $variables; default the request's target."},
    {"always_set_cookie", &kTruth, "Cookies of the answer reach the client whatever the status.", "false"},
    {"fail_open", &kTruth, "Let pass when there is no answer.", "false"},
};
inline constexpr Shape kExternalAuth{
    .kind = kObject, .expected = "an object {to, path, ...}", .keys = kExternalAuthKeys, .name = "external_auth"};

inline constexpr Key kRateLimitKeys[] = {
    {"requests", &kPositive, "So many", {}, kRequired},
    {"period", &kSeconds, "in so many seconds.", "1"},
    {"burst", &kCount, "So many above that at once.", "0"},
    {"key", &kText, "What is counted by; $variables; default the client: an IPv4 address or an IPv6 /64."},
    {"status", &kErrorStatus, "The answer to more.", "429"},
    {"exempt", &kCidrs, "Clients without limit."},
    {"name", &kText, "Rules with the same name count together; default each on its own."},
    {"dry_run", &kTruth, "Count only, refuse nothing.", "false"},
};
inline constexpr Shape kRateLimit{
    .kind = kObject, .expected = "an object {requests, period, burst, ...}", .keys = kRateLimitKeys, .name = "rate_limit"};
inline constexpr Shape kRateLimits{
    .kind = kOneOrMany, .expected = "{requests, period, burst, ...} or a list of them", .item = &kRateLimit};
inline constexpr Key kConnectionLimitKeys[] = {
    {"connections", &kPositive, "Requests at once.", {}, kRequired},
    {"key", &kText, "What is counted by; $variables; default the client: an IPv4 address or an IPv6 /64."},
    {"status", &kErrorStatus, "The answer to more.", "503"},
    {"exempt", &kCidrs, "Clients without limit."},
};
inline constexpr Shape kConnectionLimit{.kind = kObject,
                                        .expected = "an object {connections, ...}",
                                        .keys = kConnectionLimitKeys,
                                        .name = "connection_limit"};
inline constexpr Key kBandwidthKeys[] = {
    {"bytes_per_second", &kBytesAboveZero, "Of one response.", {}, kRequired},
    {"after", &kByteCount, "So many bytes first at full speed.", "0"},
};
inline constexpr Shape kBandwidth{
    .kind = kObject, .expected = "an object {bytes_per_second, after}", .keys = kBandwidthKeys, .name = "bandwidth"};

inline constexpr Shape kPageStatus{
    .kind = kInteger, .expected = "a status code from 300 to 599", .minimum = 300, .maximum = 599};
inline constexpr Shape kPageStatuses{
    .kind = kOneOrMany, .expected = "a status code or a list of them", .item = &kPageStatus, .at_least_one = true};
inline constexpr Key kErrorPagesKeys[] = {
    {"statuses", &kPageStatuses, "Which answers are replaced.", {}, kRequired},
    {"to", &kProxyPass, "Who makes the page: it is asked for / with X-Code, X-Format and X-Original-URI."},
    {"body", &kText, "The page, instead of `to`."},
    {"content_type", &kText, "Of the body.", "\"text/html\""},
    {"upstream_errors", &kTruth, "Replace what targets answered, too.", "true"},
    {"headers", &kStringMap, "Fields that are added to the question; $variables."},
};
inline constexpr Shape kErrorPage{
    .kind = kObject, .expected = "an object {statuses, to or body, ...}", .keys = kErrorPagesKeys, .name = "error_pages"};
inline constexpr Shape kErrorPages{
    .kind = kOneOrMany, .expected = "{statuses, to or body, ...} or a list of them", .item = &kErrorPage};

inline constexpr Shape kPercent{.kind = kNumber, .expected = "a number above 0, up to 100", .minimum = 0.001, .maximum = 100};
inline constexpr Key kMirrorKeys[] = {
    {"to", &kProxyPass, "Who gets the copies; its answers are thrown away.", {}, kRequired},
    {"percent", &kPercent, "Share of the requests.", "100"},
    {"host", &kText, "Host of the copy; default the request's."},
    {"path", &kText, "Target of the copy; $variables; default the request's."},
    {"body", &kTruth, "Copy the body, too.", "true"},
};
inline constexpr Shape kMirror{.kind = kObject, .expected = "an object {to, ...}", .keys = kMirrorKeys, .name = "mirror"};
inline constexpr Shape kMirrors{.kind = kOneOrMany, .expected = "{to, ...} or a list of them", .item = &kMirror};

inline constexpr Shape kHstsAge{
    .kind = kInteger, .expected = "a number of seconds, up to ten years", .minimum = 0, .maximum = 315576000};
inline constexpr Key kHstsKeys[] = {
    {"max_age", &kHstsAge, "Seconds; 0 takes the promise back.", "31536000"},
    {"include_subdomains", &kTruth, "For every name below, too.", "true"},
    {"preload", &kTruth, "Ask for a place in the browsers' list.", "false"},
};
inline constexpr Shape kHsts{.kind = kObject, .expected = "an object {max_age, ...}", .keys = kHstsKeys, .name = "hsts"};

inline constexpr std::string_view kCodingWords[] = {"gzip", "br", "zstd"};
inline constexpr Shape kCoding{.kind = kString, .expected = "\"gzip\", \"br\" or \"zstd\"", .words = kCodingWords};
inline constexpr Shape kCodings{
    .kind = kOneOrMany, .expected = "a coding or a list of them", .item = &kCoding, .at_least_one = true};
inline constexpr Shape kCompressLevel{
    .kind = kInteger, .expected = "a level from 1 to 19", .minimum = 1, .maximum = 19};
inline constexpr Key kCompressKeys[] = {
    {"encodings", &kCodings, "What may be made; the earlier when a client likes two alike.", "[\"br\", \"zstd\", \"gzip\"]"},
    {"types", &kTexts, "Content types, \"text/*\"; default the text types."},
    {"min_bytes", &kCount, "Smaller bodies stay as they are.", "256"},
    {"level", &kCompressLevel, "1 (fast) to 9 (small), br to 11, zstd to 19.", "5"},
};
inline constexpr Shape kCompress{
    .kind = kObject, .expected = "an object {encodings, ...}", .keys = kCompressKeys, .name = "compress"};

inline constexpr Key kCorsKeys[] = {
    {"origins", &kTexts, "Origins that may read answers: \"https://*.example.com\", \"~regex\"; default any."},
    {"methods", &kMethods, "Methods of a preflight answer; default GET, PUT, POST, DELETE, PATCH, OPTIONS."},
    {"headers", &kTexts, "Request fields of a preflight answer."},
    {"expose", &kTexts, "Response fields that scripts may read."},
    {"credentials", &kTruth, "Cookies may be sent.", "false"},
    {"max_age", &kSecondsOrZero, "Seconds that a preflight answer is kept."},
};
inline constexpr Shape kCors{.kind = kObject, .expected = "an object {origins, ...}", .keys = kCorsKeys, .name = "cors"};

inline constexpr Key kFilterKeys[] = {
    {"allow", &kCidrs, "Only these clients; others get 403."},
    {"deny", &kCidrs, "Not these clients; wins over allow."},
    {"basic_auth", &kBasicAuth, "User name and password."},
    {"external_auth", &kExternalAuth, "Ask another server."},
    {"satisfy", &kSatisfy, "Must all of allow/deny, basic_auth and external_auth let pass, or is one enough?", "\"all\""},
    {"rate_limit", &kRateLimits, "Requests per time and client."},
    {"limit_connections", &kConnectionLimit, "Requests at once per client."},
    {"body_limit", &kBytesAboveZero, "Bytes of a request body; more is answered 413."},
    {"bandwidth", &kBandwidth, "How fast a response is sent."},
    {"cors", &kCors, "Which other sites' scripts may read answers."},
    {"error_pages", &kErrorPages, "Other answers in place of errors."},
    {"mirror", &kMirrors, "Copies of requests."},
    {"hsts", &kHsts, "Strict-Transport-Security on answers by https."},
    {"compress", &kCompress, "Compress what clients accept compressed."},
};

}  // namespace headgate::json
