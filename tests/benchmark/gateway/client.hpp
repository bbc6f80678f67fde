// A client's connection: one request after the other, or one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "loop.hpp"

namespace load {

/// Sends requests and reads answers with a length, or a stream without an end.
class Client final : public Watcher {
  public:
    /// Whoever is told how it goes. Neither call may destroy the client.
    class Owner {
      public:
        virtual ~Owner() = default;
        virtual void answered(Client& client) = 0;
        virtual void events_came(Client& client, std::size_t count) = 0;
    };

    Client(Loop& loop, Owner& owner, std::uint16_t port);

    /// `request` lives until it is answered.
    void send(std::string_view request, Time when);

    void ready() override;

    Time sent() const noexcept { return sent_; }  ///< `when` of the request under way or the last one

  private:
    void push();
    void take(std::string_view data);
    void read_head(std::string_view& data);

    Owner& owner_;
    Descriptor fd_;
    std::string_view unsent_{};
    std::string head_{};
    std::uint64_t remaining_ = 0;
    Time sent_{};
    bool in_head_ = true;
    bool stream_ = false;
};

}  // namespace load
