// Where the member "model" of a request's JSON body stands, so that it can be read and replaced in place.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gateway {

/// The top-level member "model" of a JSON object.
struct ModelField {
    std::optional<std::string> value{};  ///< decoded; empty when the object has no such member

    std::size_t begin =
        0;  ///< first byte of the value, its quote included; where one may be inserted if absent
    std::size_t end = 0;  ///< one past the value's last byte; equal to `begin` if absent
    bool comma = false;   ///< absent, and other members follow the place
};

/// What reading a body gave: the field, or a sentence that says what is wrong and where.
struct ModelScan {
    ModelField field{};
    std::string problem{};     ///< empty when all is well
    bool about_model = false;  ///< the problem is the member itself, not the JSON around it
    std::string_view user{};   ///< the member "user" as it is spelt in the body, when it is a string
};

/// Reads `body` as strictly as RFC 8259 asks and finds the member. A body that is no JSON object, a second
/// "model" (backends would not agree which one counts), one that is no string, and nesting deeper than 256
/// are problems. O(body), allocates for the value alone. Any thread.
ModelScan find_model(std::string_view body);

/// The body with its model replaced by `name`, or with the member inserted where it was absent. Every other
/// byte stays as it was. `field` must come from `find_model(body)`.
std::string with_model(std::string_view body, const ModelField& field, std::string_view name);

}  // namespace gateway
