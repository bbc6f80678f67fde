// Memory for large bodies, used again: a fresh megabyte is 256 page faults, dearer than reading it from the
// socket.
#pragma once

#include <cstddef>
#include <string>

#include <fairlead/transport/http_message.hpp>

namespace http_server {

/// A text to read a body of about `size` bytes into; its present size and content mean nothing.
///
/// Threads: any; each keeps up to 8 MiB for its next bodies.
std::string take_body(std::size_t size);

/// The body as a request's. A large one's memory comes back to the pool when the last copy goes.
fairlead::SharedBody share_body(std::string body);

}  // namespace http_server
