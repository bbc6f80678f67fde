// An address that takes no connection and refuses none.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

namespace fairlead::test {

/// Linux drops what would connect once a listener's queue is full, of one in this case.
class SilentListener {
  public:
    SilentListener(asio::io_context& io, const asio::ip::tcp::endpoint& at) : listener_{io} {
        listener_.open(at.protocol());
        listener_.bind(at);
        listener_.listen(0);
        for (int i = 0; i < 4; ++i) {
            auto& socket = queue_.emplace_back(io, at.protocol());
            socket.native_non_blocking(true);
            // Asio's own would wait for the end of what is only to be begun.
            const auto to = listener_.local_endpoint();
            ::connect(socket.native_handle(), to.data(), static_cast<socklen_t>(to.size()));
        }
    }

    std::uint16_t port() const { return listener_.local_endpoint().port(); }

  private:
    asio::ip::tcp::acceptor listener_;
    std::vector<asio::ip::tcp::socket> queue_{};
};

}  // namespace fairlead::test
