// How many file descriptors there are, and how many of them clients may have.
#pragma once

#include <cstddef>

namespace gateway {

/// Raises the soft limit of open files to the hard one, which is there for programs that ask: the usual soft
/// one, 1,024, is for those that use select(). The limit that is then in force; where it cannot be read,
/// 1,024.
std::size_t raise_descriptor_limit() noexcept;

/// Of so many descriptors, those for clients' connections: half, since each request takes another one to its
/// backend, without 64 for what is open anyway (the loop, the log, files that are read, probes). At least 16.
std::size_t descriptors_for_clients(std::size_t limit) noexcept;

/// For connections to an admin address of its own, where clients have so many: another eighth. At least 16.
std::size_t descriptors_for_admin(std::size_t clients) noexcept;

}  // namespace gateway
