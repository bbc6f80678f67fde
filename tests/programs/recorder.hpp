// A backend that answers every request with the same bytes, and keeps what it was asked.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/raw_peer.hpp"

namespace test {

using fairlead::test::RawPeer;

/// Answers every request with `text`, and keeps what it was asked.
class Recorder {
  public:
    explicit Recorder(std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        : text_{std::move(text)} {}

    std::string url() const { return peer_.url(); }

    /// The last request, head and body; call it when its answer has come.
    std::string last() {
        const std::lock_guard lock{mutex_};
        return requests_.empty() ? "" : requests_.back();
    }
    std::size_t count() {
        const std::lock_guard lock{mutex_};
        return requests_.size();
    }

  private:
    void serve(RawPeer::Connection& connection) {
        for (;;) {
            auto request = connection.read_request();
            if (request.empty()) return;
            {
                const std::lock_guard lock{mutex_};
                requests_.push_back(std::move(request));
            }
            if (!connection.send(text_)) return;
        }
    }

    std::string text_;
    std::mutex mutex_{};
    std::vector<std::string> requests_{};
    RawPeer peer_{[this](RawPeer::Connection& connection) { serve(connection); }};
};

}  // namespace test
