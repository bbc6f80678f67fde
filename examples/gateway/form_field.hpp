// Where the field "model" of a multipart form stands: requests with audio or images in them name their model
// so.
#pragma once

#include <string>
#include <string_view>

#include "gateway/model_field.hpp"

namespace gateway {

/// Reads `body` as `multipart/form-data` (RFC 7578, RFC 2046) and finds the field "model". `content_type` is
/// the request's, with the boundary.
///
/// Strict, since backends must not read another model out of the form than was read here: text before the
/// first boundary or behind the last, a line that only begins like a boundary, a malformed or second
/// `Content-Disposition`, heads over 8 KiB, a second "model", one that is a file, is encoded, is empty or
/// holds control characters are problems. What other fields hold is not looked at.
///
/// In the result's `field` an absent model has its place at the first boundary, and `comma` says whether a
/// part follows it. O(body), allocates for names and values of heads alone. Any thread.
ModelScan find_form_model(std::string_view content_type, std::string_view body);

/// The form with its model replaced by `name`, or with the field put first where it was absent. Every other
/// byte stays as it was. `field` must come from `find_form_model` of this body, and `name` holds no line end.
std::string with_form_model(std::string_view body, const ModelField& field, std::string_view name);

}  // namespace gateway
