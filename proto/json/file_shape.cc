// file_shape.cc -- the one declarative description of the users' file.
// schema.json is written from it; the sections read what it lets through; print follows its order.
#include "proto/check/values.h"
#include "proto/json/filter_shapes.h"

namespace headgate::json {

namespace {

// --- tls

constexpr std::string_view kVersionWords[] = {"1.2", "1.3"};
constexpr Shape kVersion{.kind = kString, .expected = "\"1.2\" or \"1.3\"", .words = kVersionWords};
constexpr std::string_view kAlpnWords[] = {"h2", "http/1.1", "http/1.0", "dot"};
bool is_alpn(std::string_view text) { return check::is_alpn_name(text); }
constexpr Shape kAlpnName{
    .kind = kString, .expected = "a protocol name such as \"h2\"", .words = kAlpnWords, .accepts = is_alpn};
constexpr Shape kAlpn{.kind = kOneOrMany, .expected = "a list of protocol names", .item = &kAlpnName};

constexpr Key kCertificateKeys[] = {
    {"cert", &kText, "File of the certificate chain, PEM, leaf first.", {}, kRequired},
    {"key", &kText, "File of the private key, PEM.", {}, kRequired},
    {"names", &kHosts, "Names (SNI) that get this certificate; without it the names in the certificate."},
};
constexpr Shape kCertificate{.kind = kObject, .expected = "an object {cert, key, names}", .keys = kCertificateKeys};
constexpr Shape kCertificates{
    .kind = kList, .expected = "a list of {cert, key, names}", .item = &kCertificate, .at_least_one = true};
constexpr Key kTlsKeys[] = {
    {"cert", &kText, "File of the certificate chain, PEM, leaf first: the default certificate."},
    {"key", &kText, "File of its private key, PEM."},
    {"certificates", &kCertificates, "Certificates chosen by the name the client asks for (SNI)."},
    {"min_version", &kVersion, "Lowest TLS version.", "\"1.2\""},
    {"alpn", &kAlpn, "Protocols offered, in order of preference; default h2 and http/1.1 for https listeners."},
    {"client_ca", &kText, "File of authorities, PEM: clients must show a certificate of theirs."},
};
constexpr Shape kTls{
    .kind = kObject, .expected = "an object {cert, key, certificates, ...}", .keys = kTlsKeys, .name = "tls"};

constexpr Key kUpstreamTlsKeys[] = {
    {"verify", &kTruth, "Check the chain and the name of the target's certificate.", "true"},
    {"ca", &kText, "File of the accepted authorities, PEM; default the system's."},
    {"sni", &kText, "Name to ask for and to check; default the target's host."},
    {"cert", &kText, "File of our own certificate, PEM."},
    {"key", &kText, "File of its private key, PEM."},
};
constexpr Shape kUpstreamTls{.kind = kObject,
                             .expected = "an object {verify, ca, sni, cert, key}",
                             .keys = kUpstreamTlsKeys,
                             .name = "upstream_tls"};

constexpr std::string_view kProxyProtocolWords[] = {"v1", "v2"};
constexpr Shape kProxyProtocolOut{.kind = kString, .expected = "\"v1\" or \"v2\"", .words = kProxyProtocolWords};

// --- limits, timeouts

constexpr Shape kHeaderBytes{
    .kind = kInteger, .expected = "a number of bytes from 1024 to 1048576", .minimum = 1024, .maximum = 1048576};
constexpr Shape kFieldCount{
    .kind = kInteger, .expected = "a whole number from 1 to 10000", .minimum = 1, .maximum = 10000};
constexpr Shape kTargetBytes{
    .kind = kInteger, .expected = "a number of bytes from 64 to 1048576", .minimum = 64, .maximum = 1048576};
constexpr Shape kBodyBytes{
    .kind = kInteger, .expected = "a number of bytes, 0 for no limit", .minimum = 0, .maximum = 9007199254740991.0};
constexpr Key kLimitKeys[] = {
    {"header", &kHeaderBytes, "Bytes of request line and fields; more is answered 431.", "32768"},
    {"fields", &kFieldCount, "Number of fields; more is answered 431.", "128"},
    {"target", &kTargetBytes, "Bytes of the request target; more is answered 414.", "8192"},
    {"body", &kBodyBytes, "Bytes of a request body, 0 for no limit; more is answered 413.", "67108864"},
    {"connections", &kCount, "Connections at once, 0 for no limit.", "0"},
};
constexpr Shape kLimits{
    .kind = kObject, .expected = "an object {header, fields, target, body, connections}", .keys = kLimitKeys};
constexpr Key kListenerLimitKeys[] = {
    {"header", &kHeaderBytes, "Bytes of request line and fields; default as the file's limits."},
    {"fields", &kFieldCount, "Number of fields; default as the file's limits."},
    {"target", &kTargetBytes, "Bytes of the request target; default as the file's limits."},
    {"body", &kBodyBytes, "Bytes of a request body, 0 for no limit; default as the file's limits."},
    {"connections", &kCount, "Connections at once, 0 for no limit; default as the file's limits."},
};
constexpr Shape kListenerLimits{
    .kind = kObject, .expected = "an object {header, fields, target, body, connections}", .keys = kListenerLimitKeys};

constexpr Key kTimeoutKeys[] = {
    {"header", &kSeconds, "Seconds from the first byte of a request to the end of its head; then 408.", "10"},
    {"body", &kSeconds, "Seconds between two reads of a request body; then 408.", "30"},
    {"send", &kSeconds, "Seconds between two writes to a client that does not read; then it is cut off.", "60"},
    {"idle", &kSeconds, "Seconds a connection without a request, or a relay without traffic, is kept.", "60"},
    {"connect", &kSeconds, "Seconds for connecting to a target; then the next one, or 504.", "5"},
    {"response", &kSeconds, "Seconds for a target to answer, and between two reads of the answer; then 504.", "60"},
    {"drain", &kSecondsOrZero, "Seconds that connections have to end after a stop was asked for.", "30"},
    {"max_connections_per_ip", &kCount, "Connections at once from one client address, 0 for no limit (for DNS: 200).", "0"},
};
constexpr Shape kTimeouts{.kind = kObject, .expected = "an object {header, body, idle, ...}", .keys = kTimeoutKeys};

// --- listen

constexpr Key kProxyProtocolInKeys[] = {
    {"trusted", &kCidrs, "Addresses of the balancers that send a PROXY header.", {}, kRequired}};
constexpr Shape kProxyProtocolIn{.kind = kObject, .expected = "an object {trusted}", .keys = kProxyProtocolInKeys};
bool is_name(std::string_view text) { return !text.empty() && is_field_value(text) && text.size() <= 253; }
constexpr Shape kListenerName{.kind = kString, .expected = "a name of 1 to 253 characters", .accepts = is_name};
constexpr Shape kUri{.kind = kString, .expected = "SCHEME://ADDRESS:PORT or unix:///PATH"};
constexpr Key kListenKeys[] = {
    {"name", &kListenerName, "Name that rules refer to.", {}, kRequired},
    {"uri",
     &kUri,
     "http, https, tcp, ssl, udp://ADDRESS:PORT (no address: all), unix or unixgram:///PATH.",
     {},
     kRequired},
    {"tls", &kTls, "Instead of the file's tls section."},
    {"limits", &kListenerLimits, "Instead of the file's limits."},
    {"proxy_protocol", &kProxyProtocolIn, "Read a PROXY header (v1 or v2) from these clients."},
};
constexpr Shape kListenObject{.kind = kObject, .expected = "an object {name, uri}", .keys = kListenKeys};
constexpr const Shape* kListenChoices[] = {&kUri, &kListenObject};
constexpr std::string_view kListenString[] = {"name", "uri"};
constexpr Shape kListener{.kind = kEither,
                          .expected = "a listener: a string or an object {name, uri}",
                          .choices = kListenChoices,
                          .string_keys = kListenString,
                          .name = "listener"};
constexpr Shape kListen{
    .kind = kOneOrMany, .expected = "a list of listeners", .item = &kListener, .sorted = true, .at_least_one = true};

// --- logging

constexpr std::string_view kLevelWords[] = {"trace", "debug", "info", "warn", "error", "off"};
constexpr Shape kLevel{
    .kind = kString, .expected = "one of trace, debug, info, warn, error, off", .words = kLevelWords};
constexpr std::string_view kLogFormatWords[] = {"pretty", "json"};
constexpr Shape kLogFormat{.kind = kString, .expected = "\"pretty\" or \"json\"", .words = kLogFormatWords};
constexpr Key kLoggingKeys[] = {
    {"format", &kLogFormat, "Form of the log.", "\"pretty\""},
    {"level", &kLevel, "Level of all subsystems without their own.", "\"info\""},
    {"access_log", &kText, "stdout, stderr, off or a file, reopened on SIGUSR1.", "\"stdout\""},
    {"access_format", &kText, "combined, json or a template with $variables; default combined, json with format json."},
    {"error_log", &kText, "stderr, stdout or a file, reopened on SIGUSR1.", "\"stderr\""},
};
constexpr Shape kLogging{.kind = kObject,
                         .expected = "an object {format, access_log, SUBSYSTEM: LEVEL, ...}",
                         .keys = kLoggingKeys,
                         .item = &kLevel};

// --- dns

constexpr Key kValueKeys[] = {{"value", &kText, "The value.", {}, kRequired},
                              {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kValueObject{.kind = kObject, .expected = "an object {value, TTL}", .keys = kValueKeys};
constexpr const Shape* kValueChoices[] = {&kText, &kValueObject};
constexpr Shape kValue{
    .kind = kEither, .expected = "a string or {value, TTL}", .choices = kValueChoices, .name = "dns_value"};
constexpr Shape kValues{.kind = kOneOrMany, .expected = "a value or a list of values", .item = &kValue};

constexpr Key kMxKeys[] = {{"priority", &kU16, "Lower is tried first.", "0"},
                           {"host", &kText, "Mail server.", {}, kRequired},
                           {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kMx{.kind = kObject, .expected = "an object {priority, host}", .keys = kMxKeys};
constexpr Shape kMxs{.kind = kOneOrMany, .expected = "{priority, host} or a list of them", .item = &kMx};

constexpr Key kSrvKeys[] = {{"priority", &kU16, "Lower is tried first.", "0"},
                            {"weight", &kU16, "Share among equal priorities.", "0"},
                            {"port", &kU16, "Port of the service.", {}, kRequired},
                            {"target", &kText, "Host of the service; \".\" for none.", {}, kRequired},
                            {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kSrv{.kind = kObject, .expected = "an object {priority, weight, port, target}", .keys = kSrvKeys};
constexpr Shape kSrvs{.kind = kOneOrMany, .expected = "{priority, weight, port, target} or a list", .item = &kSrv};

constexpr Key kSoaKeys[] = {{"mname", &kText, "Primary server.", {}, kRequired},
                            {"rname", &kText, "Mailbox of the keeper, as a name.", {}, kRequired},
                            {"serial", &kU32, "Version of the zone.", "1"},
                            {"refresh", &kTtl, "Seconds.", "3600"},
                            {"retry", &kTtl, "Seconds.", "600"},
                            {"expire", &kTtl, "Seconds.", "604800"},
                            {"minimum", &kTtl, "Seconds that a negative answer is kept.", "300"},
                            {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kSoa{.kind = kObject, .expected = "an object {mname, rname, serial, ...}", .keys = kSoaKeys};

constexpr Shape kCaaFlags{.kind = kInteger, .expected = "a whole number from 0 to 255", .minimum = 0, .maximum = 255};
constexpr Key kCaaKeys[] = {{"flags", &kCaaFlags, "128: critical.", "0"},
                            {"tag", &kText, "issue, issuewild, iodef ...", {}, kRequired},
                            {"value", &kText, "The value.", {}, kRequired},
                            {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kCaa{.kind = kObject, .expected = "an object {flags, tag, value}", .keys = kCaaKeys};
constexpr Shape kCaas{.kind = kOneOrMany, .expected = "{flags, tag, value} or a list of them", .item = &kCaa};

constexpr Shape kParamTexts{.kind = kList, .expected = "a list of strings", .item = &kText};
constexpr const Shape* kParamChoices[] = {&kText, &kU16, &kTruth, &kParamTexts};
constexpr Shape kParam{
    .kind = kEither, .expected = "a string, a number, true, or a list of strings", .choices = kParamChoices};
constexpr Shape kParams{.kind = kMap, .expected = "an object {alpn, port, ipv4hint, ...}", .item = &kParam};
constexpr Key kSvcbKeys[] = {
    {"priority", &kU16, "0 is the alias form.", "1"},
    {"target", &kText, "Host of the service; \".\" for the name itself.", "\".\""},
    {"params", &kParams, "alpn, port, ipv4hint, ipv6hint, no-default-alpn, mandatory, ech, keyN."},
    {"TTL", &kTtl, "Seconds; default the name's."}};
constexpr Shape kSvcb{.kind = kObject, .expected = "an object {priority, target, params}", .keys = kSvcbKeys};
constexpr Shape kSvcbs{.kind = kOneOrMany, .expected = "{priority, target, params} or a list", .item = &kSvcb};

constexpr Key kDnsNameKeys[] = {
    {"TTL", &kTtl, "Seconds for the records of this name; default dns_ttl."},
    {"A", &kValues, "IPv4 addresses."},
    {"AAAA", &kValues, "IPv6 addresses."},
    {"CNAME", &kValue, "The name this is another name of."},
    {"MX", &kMxs, "Mail servers."},
    {"TXT", &kValues, "Texts, one record each; longer ones than 255 bytes are cut into strings."},
    {"SRV", &kSrvs, "Servers of a service."},
    {"NS", &kValues, "Name servers."},
    {"PTR", &kValues, "Names of an address."},
    {"SOA", &kSoa, "Start of authority."},
    {"CAA", &kCaas, "Who may issue certificates."},
    {"HTTPS", &kSvcbs, "Service binding for HTTPS (RFC 9460)."},
    {"SVCB", &kSvcbs, "Service binding (RFC 9460)."},
};
constexpr Shape kDnsName{.kind = kObject,
                         .expected = "an object of record types such as {\"A\": \"192.0.2.4\"}",
                         .keys = kDnsNameKeys,
                         .name = "dns_name"};
constexpr Shape kDns{.kind = kMap, .expected = "an object {NAME: {TYPE: VALUE}}", .item = &kDnsName};
constexpr std::string_view kAnyWords[] = {"minimal", "full"};
constexpr Shape kDnsAny{.kind = kString, .expected = "\"minimal\" or \"full\"", .words = kAnyWords};

// --- upstreams

constexpr std::string_view kBalanceWords[] = {"round-robin", "random",        "ip-hash",  "conn-hash",
                                              "least-conn",  "least-request", "ring-hash"};
constexpr Shape kBalance{
    .kind = kString,
    .expected = "one of round-robin, random, ip-hash, conn-hash, least-conn, least-request, ring-hash",
    .words = kBalanceWords};
constexpr Shape kWeight{.kind = kInteger, .expected = "a whole number from 0 to 1000", .minimum = 0, .maximum = 1000};
constexpr Shape kTargetUrl{.kind = kString, .expected = "SCHEME://HOST:PORT or unix:///PATH"};
constexpr Key kTargetKeys[] = {
    {"url", &kTargetUrl, "SCHEME://HOST:PORT or unix:///PATH.", {}, kRequired},
    {"weight", &kWeight, "Share of the requests; 0 takes none.", "1"},
    {"priority", &kU16, "Group: 0 first, the next one when no target of it is usable.", "0"},
    {"zone", &kText, "Where the target is, for zones.prefer_local."},
};
constexpr Shape kTargetObject{
    .kind = kObject, .expected = "an object {url, weight, priority, zone}", .keys = kTargetKeys};
constexpr const Shape* kTargetChoices[] = {&kTargetUrl, &kTargetObject};
constexpr std::string_view kTargetString[] = {"url"};
constexpr Shape kTarget{.kind = kEither,
                        .expected = "a target: a URL or an object {url, weight, priority, zone}",
                        .choices = kTargetChoices,
                        .string_keys = kTargetString,
                        .name = "target"};
constexpr Shape kTargets{.kind = kOneOrMany, .expected = "a list of targets", .item = &kTarget, .at_least_one = true};

constexpr Shape kExpectCode{
    .kind = kInteger, .expected = "a status code from 100 to 599", .minimum = 100, .maximum = 599};
bool is_status_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto code = [](std::string_view part) {
    return part.size() == 3 && part[0] >= '1' && part[0] <= '5' && is_digit(part[1]) && is_digit(part[2]);
  };
  if (dash == std::string_view::npos) return code(text);
  return code(text.substr(0, dash)) && code(text.substr(dash + 1)) && text.substr(0, dash) <= text.substr(dash + 1);
}
constexpr Shape kExpectRange{
    .kind = kString, .expected = "a range of status codes such as \"200-299\"", .accepts = is_status_range};
constexpr const Shape* kExpectChoices[] = {&kExpectCode, &kExpectRange};
constexpr Shape kExpectOne{
    .kind = kEither, .expected = "a status code or a range such as \"200-299\"", .choices = kExpectChoices};
constexpr Shape kExpect{.kind = kOneOrMany,
                        .expected = "a status code, a range, or a list of them",
                        .item = &kExpectOne,
                        .at_least_one = true};
constexpr Shape kThreshold{.kind = kInteger, .expected = "a whole number from 1 to 100", .minimum = 1, .maximum = 100};
constexpr std::string_view kHealthKindWords[] = {"http", "tcp", "grpc"};
constexpr Shape kHealthKind{.kind = kString, .expected = "one of http, tcp, grpc", .words = kHealthKindWords};
constexpr Key kHealthKeys[] = {
    {"kind", &kHealthKind, "http, tcp (connecting is enough) or grpc; default as the targets speak."},
    {"path", &kText, "Path that is asked for.", "\"/\""},
    {"interval", &kSeconds, "Seconds between two checks of a target.", "10"},
    {"timeout", &kSeconds, "Seconds for the answer.", "2"},
    {"healthy", &kThreshold, "Good answers in a row that bring a target back.", "2"},
    {"unhealthy", &kThreshold, "Failures in a row that take a target out.", "3"},
    {"expect", &kExpect, "Status codes that are good answers.", "[\"200-399\"]"},
    {"method", &kMethod, "Method of the request.", "\"GET\""},
    {"host", &kText, "Host of the request; default the target's."},
    {"port", &kU16, "Port that is asked; default the target's."},
    {"service", &kText, "For grpc: the service that is asked about; default the whole server."},
};
constexpr Shape kHealth{.kind = kObject, .expected = "an object {path, interval, ...}", .keys = kHealthKeys};

constexpr Shape kPercent{.kind = kInteger, .expected = "a whole number from 0 to 100", .minimum = 0, .maximum = 100};
constexpr Key kCircuitKeys[] = {
    {"connections", &kCount, "Connections at once, 0 for no limit; then requests wait, then 503.", "0"},
    {"connections_per_target", &kCount, "The same for each target.", "0"},
    {"pending", &kCount, "Requests that may wait for a connection, 0 for no limit; more are answered 503.", "1024"},
    {"requests", &kCount, "Requests in flight, 0 for no limit; more are answered 503.", "0"},
};
constexpr Shape kCircuit{.kind = kObject,
                         .expected = "an object {connections, connections_per_target, pending, requests}",
                         .keys = kCircuitKeys};

constexpr Key kKeepAliveKeys[] = {
    {"idle", &kSeconds, "Seconds that an unused connection is kept.", "60"},
    {"connections", &kCount, "Unused connections kept for each target by each worker; 0 for none.", "64"},
    {"requests", &kCount, "Requests after which a connection is closed, 0 for no limit.", "0"},
    {"max_age", &kSeconds, "Seconds after which a connection is closed; default never."},
};
constexpr Shape kKeepAlive{
    .kind = kObject, .expected = "an object {idle, connections, requests, max_age}", .keys = kKeepAliveKeys};

constexpr std::string_view kRetryOnWords[] = {"connect", "reset", "timeout", "refused-stream"};
constexpr Shape kRetryOnWord{.kind = kString,
                             .expected = "connect, reset, timeout, refused-stream or a status code from 400 to 599",
                             .words = kRetryOnWords};
constexpr Shape kRetryStatus{
    .kind = kInteger, .expected = "a status code from 400 to 599", .minimum = 400, .maximum = 599};
constexpr const Shape* kRetryOnChoices[] = {&kRetryOnWord, &kRetryStatus};
constexpr Shape kRetryOn{.kind = kEither,
                         .expected = "connect, reset, timeout, refused-stream or a status code from 400 to 599",
                         .choices = kRetryOnChoices};
constexpr Shape kRetryOns{
    .kind = kOneOrMany, .expected = "a reason to retry or a list of them", .item = &kRetryOn, .at_least_one = true};
constexpr Shape kAttempts{.kind = kInteger, .expected = "a whole number from 1 to 10", .minimum = 1, .maximum = 10};
constexpr Key kRetryKeys[] = {
    {"attempts", &kAttempts, "Attempts, the first included; 1 for no retry.", "2"},
    {"on", &kRetryOns, "What is tried again; a number is a status code.", "[\"connect\", \"refused-stream\"]"},
    {"non_idempotent", &kTruth, "Repeat POST, PATCH and LOCK too once they were sent.", "false"},
    {"timeout", &kSeconds, "Seconds after which no further attempt begins; default none."},
    {"per_try", &kSeconds, "Seconds for one attempt to answer; default the time-out for the answer."},
    {"backoff", &kSecondsOrZero, "Seconds before the third attempt, doubling.", "0.025"},
    {"buffer", &kCount, "Bytes of a request body kept for another attempt; 0 for none.", "65536"},
};
constexpr Shape kRetry{
    .kind = kObject, .expected = "an object {attempts, on, ...}", .keys = kRetryKeys, .name = "retry"};

constexpr Key kPassiveKeys[] = {
    {"failures", &kCount, "Failures in a row that leave a target out for retry_timeout_seconds; 0 for never.", "3"},
    {"window", &kSeconds, "Seconds within which these failures must fall.", "10"},
    {"max_percent", &kPercent, "At most so many percent of the targets are left out.", "50"},
    {"statuses", &kExpect, "Answers that count as failures.", "[\"502-504\"]"},
};
constexpr Shape kPassive{
    .kind = kObject, .expected = "an object {failures, window, max_percent, statuses}", .keys = kPassiveKeys};

constexpr Key kRetryBudgetKeys[] = {
    {"percent", &kPercent, "Retries as a share of the requests.", "20"},
    {"min_per_second", &kCount, "Retries a second that are always allowed.", "3"},
};
constexpr Shape kRetryBudget{
    .kind = kObject, .expected = "an object {percent, min_per_second}", .keys = kRetryBudgetKeys};

constexpr Key kZonesKeys[] = {
    {"prefer_local", &kTruth, "Targets of our own zone first.", "false"},
    {"min_local_percent", &kPercent, "Usable share of our zone below which others help.", "70"},
};
constexpr Shape kZones{
    .kind = kObject, .expected = "an object {prefer_local, min_local_percent}", .keys = kZonesKeys};

constexpr Key kUpstreamKeys[] = {
    {"targets", &kTargets, "Where requests go.", {}, kRequired},
    {"balance", &kBalance, "How a target is chosen.", "\"round-robin\""},
    {"hash_key", &kText, "For ring-hash: $variables, for example \"$cookie_user\"."},
    {"health_check", &kHealth, "Ask each target regularly."},
    {"proxy_timeout_seconds", &kSeconds, "Seconds for an answer, then 504; default timeouts.response."},
    {"retry_timeout_seconds", &kSeconds, "Seconds that a failed target is left out.", "10"},
    {"passive_health", &kPassive, "When a target that fails requests is left out."},
    {"retry", &kRetry, "When a request is sent again."},
    {"retry_budget", &kRetryBudget, "How much load retries may add."},
    {"limits", &kCircuit, "How much the targets are asked to take at once, over all workers."},
    {"keep_alive", &kKeepAlive, "How long connections to the targets are kept."},
    {"slow_start", &kSeconds, "Seconds over which the share of a target that is new or back grows; default none."},
    {"zones", &kZones, "Targets nearby first; needs `zone` of the file."},
    {"tls", &kUpstreamTls, "How https, ssl and other TLS targets are spoken to."},
    {"proxy_protocol", &kProxyProtocolOut, "Send a PROXY header of this version."},
};
constexpr Shape kUpstream{
    .kind = kObject, .expected = "an object {targets, ...}", .keys = kUpstreamKeys, .name = "upstream"};
constexpr Shape kUpstreams{.kind = kMap, .expected = "an object {NAME: {targets, ...}}", .item = &kUpstream};

// --- dispatch

bool is_path_pattern(std::string_view text) {
  return text.starts_with('/') || (text.starts_with('~') && text.size() > 1);
}
constexpr Shape kPath{.kind = kString,
                      .expected = "a path: \"/exact\", \"/prefix/**\", \"/one-segment/*\" or \"~regex\"",
                      .accepts = is_path_pattern};
bool starts_with_slash(std::string_view text) { return text.starts_with('/'); }
constexpr Shape kStripPrefix{
    .kind = kString, .expected = "a path that starts with \"/\"", .accepts = starts_with_slash};
constexpr std::string_view kModeWords[] = {"stream", "datagram"};
constexpr Shape kMode{.kind = kString, .expected = "\"stream\" or \"datagram\"", .words = kModeWords};
constexpr std::string_view kFramingWords[] = {"line", "length"};
constexpr Shape kFraming{.kind = kString, .expected = "\"line\" or \"length\"", .words = kFramingWords};
constexpr Shape kBuffer{
    .kind = kInteger, .expected = "a number of bytes from 1024 to 16777216", .minimum = 1024, .maximum = 16777216};

constexpr Key kGrpcMatchKeys[] = {
    {"service", &kText, "Service with its package, \"helloworld.Greeter\", or \"~regex\"; default every one."},
    {"method", &kText, "Method, \"SayHello\", or \"~regex\"; default every one."},
};
constexpr Shape kGrpcMatch{.kind = kObject, .expected = "an object {service, method}", .keys = kGrpcMatchKeys};

constexpr Key kMatchKeys[] = {
    {"path", &kPath, "Paths: /exact, /prefix/**, /one-segment/*, ~regex.", "\"/**\""},
    {"hosts", &kHosts, "Hosts, \"*.example.com\" for all below; default every host."},
    {"methods", &kMethods, "Methods; default every method."},
    {"match_headers", &kStringMap, "Request fields that must have this value, or match \"~regex\"."},
    {"grpc", &kGrpcMatch, "Calls of this service and method, which stand in the path of a gRPC request."},
    {"final", &kTruth, "For a prefix: regexes are not tried when it is the longest (nginx's ^~).", "false"},
};
constexpr Key kStaticKeys[] = {
    {"root", &kText, "Folder, relative to this file's.", {}, kRequired},
    {"index", &kTexts, "Files tried for a folder.", "[\"index.html\"]"},
    {"autoindex", &kTruth, "List folders without an index file.", "false"},
    {"try_files", &kTexts, "Candidates such as \"$uri\", \"/index.html\", \"=404\"."},
    {"cache_control", &kText, "Value of Cache-Control."},
    {"strip_prefix", &kStripPrefix, "Cut from the path before the file is looked up."},
};
constexpr Shape kBackendWeight{
    .kind = kInteger, .expected = "a whole number from 0 to 1000000", .minimum = 0, .maximum = 1000000};
constexpr Key kBackendKeys[] = {
    {"to", &kProxyPass, "http://HOST:PORT, https://..., unix:///PATH or upstream://NAME.", {}, kRequired},
    {"weight", &kBackendWeight, "Share of the requests; 0 takes only marked ones.", "1"},
    {"match_headers", &kStringMap, "Requests with this value, or matching \"~regex\", go here before the weights."},
    {"match_cookies", &kStringMap, "The same by cookies."},
    {"headers", &kStringMap, "Request fields to set for this target; $variables."},
    {"sticky", &kTruth, "Takes part in the rule's affinity.", "true"},
};
constexpr Shape kBackend{.kind = kObject, .expected = "an object {to, weight, ...}", .keys = kBackendKeys};
constexpr Shape kBackends{
    .kind = kList, .expected = "a list of {to, weight, ...}", .item = &kBackend, .at_least_one = true};
constexpr const Shape* kProxyTargetChoices[] = {&kProxyPass, &kBackends};
constexpr Shape kProxyTargets{
    .kind = kEither, .expected = "a target or a list of {to, weight, ...}", .choices = kProxyTargetChoices};
constexpr Key kCanaryKeys[] = {
    {"to", &kProxyPass, "Where the chosen requests go.", {}, kRequired},
    {"weight", &kBackendWeight, "Share of the requests without a mark.", "0"},
    {"weight_total", &kBackendWeight, "What the weight is a share of.", "100"},
    {"header", &kText, "\"always\" in this field goes there, \"never\" does not; else the cookie decides."},
    {"header_value", &kText, "Instead of always and never: this value goes there."},
    {"header_pattern", &kText, "Instead of always and never: what matches this regex goes there."},
    {"cookie", &kText, "\"always\" in this cookie goes there, \"never\" does not; else the weight decides."},
    {"sticky", &kTruth, "Takes part in the rule's affinity.", "true"},
};
constexpr Shape kCanary{.kind = kObject, .expected = "an object {to, weight, header, ...}", .keys = kCanaryKeys};
constexpr std::string_view kAffinityModeWords[] = {"balanced", "persistent"};
constexpr Shape kAffinityMode{
    .kind = kString, .expected = "\"balanced\" or \"persistent\"", .words = kAffinityModeWords};
constexpr std::string_view kSameSiteWords[] = {"None", "Lax", "Strict"};
constexpr Shape kSameSite{.kind = kString, .expected = "\"None\", \"Lax\" or \"Strict\"", .words = kSameSiteWords};
constexpr Shape kCookieSeconds{
    .kind = kInteger, .expected = "a whole number of seconds up to 31622400", .minimum = 0, .maximum = kYear};
constexpr Key kAffinityKeys[] = {
    {"cookie", &kText, "Name of the cookie.", {}, kRequired},
    {"mode", &kAffinityMode, "balanced: a new target takes over its share; persistent: sessions never move.",
     "\"balanced\""},
    {"path", &kText, "Path of the cookie.", "\"/\""},
    {"domain", &kText, "Domain of the cookie."},
    {"max_age", &kCookieSeconds, "Max-Age of the cookie; without it and expires the browser's session."},
    {"expires", &kCookieSeconds, "Expires of the cookie, from now."},
    {"same_site", &kSameSite, "SameSite of the cookie."},
    {"secure", &kTruth, "Secure; default for clients with TLS."},
    {"change_on_failure", &kTruth, "A failed attempt moves the session.", "false"},
    {"conditional_same_site_none", &kTruth, "No SameSite=None for browsers that misread it.", "false"},
};
constexpr Shape kAffinity{.kind = kObject, .expected = "an object {cookie, ...}", .keys = kAffinityKeys};
constexpr Key kProxyKeys[] = {
    {"proxy_pass", &kProxyTargets,
     "http://HOST:PORT, https://..., unix:///PATH or upstream://NAME; or several with weights.", {}, kRequired},
    {"canary", &kCanary, "Another target for marked requests and a share of the others."},
    {"affinity", &kAffinity, "A cookie keeps a session at one target."},
    {"fallback", &kProxyPass, "Where requests go when the target has nobody who could answer."},
    {"strip_prefix", &kStripPrefix, "Cut from the path before it is sent on."},
    {"timeout", &kSeconds, "Seconds for an answer, then 504; default the upstream's."},
    {"headers", &kStringMap, "Request fields to set; $variables."},
    {"balance", &kBalance, "Instead of the upstream's."},
    {"hash_key", &kText, "For ring-hash: $variables, for example \"$cookie_user\"."},
    {"grpc_web", &kTruth, "Translate gRPC-Web, as browsers speak it, to gRPC for the target.", "false"},
    {"request_buffering", &kTruth, "Read the whole request body before connecting.", "false"},
    {"retry", &kRetry, "Instead of the upstream's."},
    {"tls", &kUpstreamTls, "How a TLS target is spoken to; for upstream:// say it there."},
    {"proxy_protocol", &kProxyProtocolOut, "Send a PROXY header of this version; for upstream:// say it there."},
};
constexpr Key kRespondKeys[] = {
    {"status", &kStatus, "Status code.", "200"},
    {"body", &kText, "Body.", "\"\""},
    {"headers", &kStringMap, "Response fields; $variables."},
};
constexpr Key kRedirectKeys[] = {
    {"status", &kRedirectStatus, "300, 301, 302, 303, 307 or 308.", "302"},
    {"location", &kText, "Where to; $variables, and $1 to $9 after a regex path.", {}, kRequired},
};
constexpr Shape kForwardTo{.kind = kString, .expected = "tcp, udp, ssl://HOST:PORT, unix:///PATH or upstream://NAME"};
constexpr Key kForwardTargetKeys[] = {
    {"to", &kForwardTo, "tcp, udp, ssl://HOST:PORT, unix, unixgram:///PATH or upstream://NAME.", {}, kRequired},
    {"weight", &kBackendWeight, "Share of the connections or flows; 0 takes none.", "1"},
};
constexpr Shape kForwardTarget{.kind = kObject, .expected = "an object {to, weight}", .keys = kForwardTargetKeys};
constexpr Shape kForwardTargetList{
    .kind = kList, .expected = "a list of {to, weight}", .item = &kForwardTarget, .at_least_one = true};
constexpr const Shape* kForwardTargetChoices[] = {&kForwardTo, &kForwardTargetList};
constexpr Shape kForwardTargets{
    .kind = kEither, .expected = "a target or a list of {to, weight}", .choices = kForwardTargetChoices};
constexpr Key kForwardKeys[] = {
    {"forward_to", &kForwardTargets,
     "tcp, udp, ssl://HOST:PORT, unix, unixgram:///PATH or upstream://NAME; or several with weights.", {}, kRequired},
    {"mode", &kMode, "datagram keeps messages apart; default where either side has datagrams."},
    {"timeout", &kSeconds, "Seconds without traffic; default 60 for streams, 30 for datagrams."},
    {"max_connections", &kCount, "Connections or flows at once, 0 for no limit.", "0"},
    {"buffer_size", &kBuffer, "At most so many bytes in flight in each direction.", "262144"},
    {"framing", &kFraming, "How messages stand in a stream; default each read is one message."},
    {"sni", &kHosts, "Only connections that ask for these names (TLS)."},
    {"source", &kCidrs, "Only clients from these ranges."},
    {"tls", &kUpstreamTls, "How an ssl target is spoken to; for upstream:// say it there."},
    {"proxy_protocol", &kProxyProtocolOut, "Send a PROXY header of this version; for upstream:// say it there."},
};
constexpr Case kHandlerCases[] = {
    {"static", kMatchKeys, kStaticKeys, kFilterKeys},
    {"proxy", kMatchKeys, kProxyKeys, kFilterKeys},
    {"respond", kMatchKeys, kRespondKeys, kFilterKeys},
    {"redirect", kMatchKeys, kRedirectKeys, kFilterKeys},
    {"echo", kMatchKeys, {}, kFilterKeys},
    {"forward", kForwardKeys, {}},
    {"dns", {}, {}},
};
constexpr std::string_view kHandlerWords[] = {"static", "proxy", "respond", "redirect", "echo", "forward", "dns"};
constexpr Shape kHandler{
    .kind = kString, .expected = "one of static, proxy, respond, redirect, echo, forward, dns", .words = kHandlerWords};
constexpr Key kRuleKeys[] = {
    {"listener", &kText, "Name of a listener.", {}, kRequired},
    {"handler", &kHandler, "What happens: static, proxy, respond, redirect, echo, forward or dns.", {}, kRequired},
};
constexpr Shape kRule{.kind = kObject,
                      .expected = "an object {listener, handler, ...}",
                      .keys = kRuleKeys,
                      .tag = "handler",
                      .cases = kHandlerCases,
                      .name = "rule"};
constexpr Shape kDispatch{.kind = kList, .expected = "a list of rules", .item = &kRule};

// --- the file

bool is_resolver(std::string_view text) {
  if (IpAddress::parse(text).has_value()) return true;
  const auto address = SocketAddress::parse(text);
  return address.has_value() && address->is_ip() && !address->address().is_any() && address->port() != 0;
}
constexpr Shape kResolver{.kind = kString,
                          .expected = "a resolver's address such as \"192.0.2.53:53\" or \"[2001:db8::53]:53\"",
                          .accepts = is_resolver};
constexpr Shape kResolvers{.kind = kOneOrMany, .expected = "a list of resolver addresses", .item = &kResolver};

constexpr Key kFileKeys[] = {
    {"listen", &kListen, "Where connections and datagrams are taken.", {}, kRequired},
    {"tls", &kTls, "For every https and ssl listener without its own."},
    {"backlog", &kBacklog, "Connections that may wait to be accepted.", "1024"},
    {"timeouts", &kTimeouts, "Deadlines in seconds; fractions are allowed.", "{}"},
    {"limits", &kLimits, "Sizes and counts that a client may not exceed.", "{}"},
    {"trusted_proxies", &kCidrs, "Clients whose X-Forwarded-* and Forwarded fields are believed.", "[]"},
    {"logging", &kLogging, "Logs and their levels by subsystem.", "{}"},
    {"admin", &kText, "unix:///PATH, http://LOOPBACK:PORT or off; default a socket in the run directory."},
    {"zone", &kText, "Where this process runs, for upstreams that prefer targets nearby."},
    {"temp_dir", &kText, "Folder for buffered bodies; default the system's."},
    {"dns_ttl", &kTtl, "Seconds for records without a TTL of their own.", "300"},
    {"dns_auto_ptr", &kTruth, "Make PTR records for the A and AAAA records.", "false"},
    {"dns_any", &kDnsAny, "Answer to ANY: one record set (RFC 8482), or all.", "\"minimal\""},
    {"dns_allow_wildcard", &kTruth, "Let a dns listener stand on every address.", "false"},
    {"dns_rate_limit", &kCount, "UDP answers per second and client network (IPv4 /24, IPv6 /56); 0: no limit.", "100"},
    {"dns_forward", &kResolvers, "Resolvers for names that are not ours; without any: REFUSED.", "[]"},
    {"dns", &kDns, "Names that are answered."},
    {"zones", &kStringMap, "Zone files by origin."},
    {"upstreams", &kUpstreams, "Named sets of targets."},
    {"dispatch", &kDispatch, "Rules: what each listener does with what arrives.", "[]"},
};
constexpr Shape kFile{.kind = kObject, .expected = "an object {listen, dispatch, ...}", .keys = kFileKeys};

}  // namespace

const Shape& file_shape() { return kFile; }

}  // namespace headgate::json
