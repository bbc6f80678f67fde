// The backend that the proxies are measured in front of: answers at once, or streams by the clock.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "loop.hpp"

namespace load {

class BackendConnection;

/// How it answers POSTs; a GET (a probe of the proxies) always gets a small 200.
struct Behaviour {
    enum class Kind : std::uint8_t {
        answer,  ///< 300 bytes with a length
        events,  ///< a stream of server-sent events, `burst` of them each `interval`
        hold     ///< a stream with one event `delay` after its head, and then nothing
    };
    Kind kind = Kind::answer;
    std::chrono::nanoseconds interval{};
    unsigned burst = 1;
    std::chrono::nanoseconds delay{};  ///< 0: in one write with the head
};

/// Listens on several ports, as if it were several backends.
class Backend {
  public:
    static constexpr std::size_t ports = 3;

    explicit Backend(Loop& loop);
    ~Backend();

    std::array<std::uint16_t, ports> where() const;
    void behave(const Behaviour& behaviour) { behaviour_ = behaviour; }
    const Behaviour& behaviour() const noexcept { return behaviour_; }

    /// Sends the events whose time has come; returns when the next one's will have.
    Time send_due(Time now);

    std::size_t streams() const noexcept { return streaming_; }
    void end_streams();  ///< by closing their connections
    /// When the last event was handed to the kernel.
    Time last_event() const noexcept { return last_event_; }

    // For its connections.
    void stream_begins(BackendConnection& connection);
    void stream_ends() noexcept { --streaming_; }
    void gone(BackendConnection& connection);

  private:
    struct Port;
    struct Due {
        Time at;
        std::uint64_t id;
        bool operator>(const Due& other) const noexcept { return at > other.at; }
    };
    void accept(const Descriptor& listener);

    Loop& loop_;
    std::vector<std::unique_ptr<Port>> listening_;
    std::unordered_map<std::uint64_t, std::unique_ptr<BackendConnection>> connections_;
    std::vector<Due> due_{};  // a heap, the earliest first
    Behaviour behaviour_{};
    std::size_t streaming_ = 0;
    std::uint64_t next_id_ = 0;
    Time last_event_{};
};

/// What a client counts to know how many events came: it stands in each once, and nowhere else.
inline constexpr char event_mark = '~';

}  // namespace load
