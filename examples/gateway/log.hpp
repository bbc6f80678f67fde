// What the gateway tells its operator: one line each, as text or as JSON.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <fairlead/model/event.hpp>

#include "gateway/usage_reader.hpp"

namespace gateway {

/// One finished request, as the access log shows it.
struct AccessEntry {
    std::string peer{};
    std::string method{};
    std::string target{};
    int status = 0;           ///< 0: the client left before there was one
    std::string backend{};    ///< empty: none was chosen
    std::uint64_t bytes = 0;  ///< of the answer's body
    Usage usage{};            ///< as the answer told it
    fairlead::Duration took{};
    std::string_view end{};  ///< "complete", "broken" or "client left"
};

/// Writes lines, in the order in which they come, and lets nobody wait for who reads them: a terminal that
/// was stopped, a pipe whose reader hangs. Who has a line writes it where the stream takes it at once. When
/// it does not for the first time, a thread begins that writes from there on. (Not before: to be a program's
/// second thread costs each request of the first.) Lines are kept for it, up to `room` bytes; those beyond
/// are dropped, and once there is room again a line says how many: `dropped=N`.
///
/// Threads: any, but for `close`; a lock is held to add a line to the others, or for a write that does not
/// wait.
class Log {
  public:
    enum class Format { text, json };
    /// Whether the stream takes 4096 bytes at once. Called with the lock.
    using Takes = std::function<bool()>;

    /// Without `takes` the stream is one that never does.
    Log(std::ostream& out, Format format, Takes takes = {}, std::size_t room = std::size_t{1} << 20);
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log();  ///< waits until all is written, however long that takes; `close` comes first where it must not

    /// Writes what is left, and ends; what comes later is not written. False when the stream took nothing for
    /// as long as `patience`: then it may be called again, or the program left by `std::_Exit`. (A thread
    /// that hangs in a write cannot be stopped, and holds the stream's locks.)
    bool close(std::chrono::milliseconds patience);

    void message(std::string_view text);
    void event(const fairlead::Event& event);
    void access(const AccessEntry& entry);

  private:
    void line(std::string_view text);
    bool has_writer() noexcept;
    void run();
    void write(std::string_view lines);

    std::ostream& out_;  // the writer's alone, once there is one
    const Format format_;
    const Takes takes_;
    const std::size_t room_;

    std::mutex mutex_{};
    std::condition_variable changed_{};
    std::string lines_{};  // that were not taken by the writer, who empties it at once
    std::uint64_t dropped_ = 0;
    std::uint64_t writes_ = 0;  // that have ended
    bool closing_ = false;
    bool is_done_ = false;
    std::thread writer_{};  // begins when the stream does not take a line at once
};

/// For a descriptor. Of pipes and sockets it is asked; one that several programs write to may be full the
/// moment after, and then one write waits. Files always take: a disk that hangs holds up who has a line, as
/// it does with other servers. Terminals never: they say that they take a byte, which is no line.
Log::Takes takes_at_once(int descriptor);

}  // namespace gateway
