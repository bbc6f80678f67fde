// What the gateway tells its operator: one line each, as text or as JSON.
#pragma once

#include <iosfwd>
#include <mutex>
#include <string>
#include <string_view>

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

/// Writes lines. Any thread; a lock is held for the write alone.
class Log {
  public:
    enum class Format { text, json };

    Log(std::ostream& out, Format format) : out_{out}, format_{format} {}

    void message(std::string_view text);
    void event(const fairlead::Event& event);
    void access(const AccessEntry& entry);

  private:
    void line(std::string_view text);

    std::ostream& out_;
    Format format_;
    std::mutex mutex_{};
};

}  // namespace gateway
