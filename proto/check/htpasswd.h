// htpasswd.h -- the text of a password file: one "name:hash" a line, "#" begins a comment.
// Spec: the files of Apache's htpasswd and nginx's auth_basic_user_file.   Thread: any (pure).
#pragma once

#include <string>
#include <string_view>

#include "headgate/config/v1/value.pb.h"

namespace headgate::check {

// Adds what `text` holds to `users`. False: a line without a colon or a name, or more than 100,000 of them; `why` says
// which. Whether a hash is of a known form is the check's business.
bool parse_htpasswd(std::string_view text, google::protobuf::RepeatedPtrField<config::v1::NameValue>& users,
                    std::string& why);

}  // namespace headgate::check
