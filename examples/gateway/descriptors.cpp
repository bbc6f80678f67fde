// The limit of open files (RLIMIT_NOFILE).
#include "gateway/descriptors.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace gateway {

std::size_t raise_descriptor_limit() noexcept {
    constexpr std::size_t usual = 1024;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return usual;
    const auto before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    return static_cast<std::size_t>(limit.rlim_cur);
}

std::size_t descriptors_for_clients(std::size_t limit) noexcept {
    constexpr std::size_t others = 64;
    constexpr std::size_t least = 16;
    return std::max(least, (limit - std::min(limit, others)) / 2);
}

std::size_t descriptors_for_admin(std::size_t clients) noexcept {
    constexpr std::size_t least = 16;
    return std::max(least, clients / 8);
}

}  // namespace gateway
