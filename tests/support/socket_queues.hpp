// How many bytes lie in sockets, as the system counts them: neither read nor arrived at the other side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace test {

/// The port at the end of a URL.
inline unsigned port_of(std::string_view url) {
    return static_cast<unsigned>(std::stoul(std::string{url.substr(url.rfind(':') + 1)}));
}

/// Bytes in both directions of all IPv4 connections of this machine that have one of `ports` at either end,
/// where both ends are here (Linux). What was sent, has arrived and is not acknowledged yet counts twice.
inline std::int64_t bytes_in_sockets(std::initializer_list<unsigned> ports) {
    std::ifstream in{"/proc/net/tcp"};
    if (!in) throw std::runtime_error{"cannot read /proc/net/tcp"};
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');  // the titles
    std::int64_t sum = 0;
    // `0: 0100007F:ADDR 0100007F:ADDR STATE SENDING:RECEIVED ...`, in hexadecimal.
    for (std::string line; std::getline(in, line);) {
        std::istringstream words{line};
        std::string number, local, remote, state, queues;
        words >> number >> local >> remote >> state >> queues;
        if (state == "0A") continue;  // a listener's queue holds connections
        const auto is_at = [&](const std::string& address) {
            const auto port = std::stoul(address.substr(address.find(':') + 1), nullptr, 16);
            return std::find(ports.begin(), ports.end(), port) != ports.end();
        };
        if (!is_at(local) && !is_at(remote)) continue;
        const auto colon = queues.find(':');
        sum += std::stoll(queues.substr(0, colon), nullptr, 16) +
               std::stoll(queues.substr(colon + 1), nullptr, 16);
    }
    return sum;
}

}  // namespace test
