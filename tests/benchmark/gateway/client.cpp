// Reads no more of an answer than where it ends, and of a stream the marks of its events.
#include "client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "backend.hpp"

namespace load {

Client::Client(Loop& loop, Owner& owner, std::uint16_t port) : owner_{owner}, fd_{connect_to(port)} {
    loop.add(fd_, *this);
}

void Client::send(std::string_view request, Time when) {
    unsent_ = request;
    sent_ = when;
    push();
}

void Client::push() {
    while (!unsent_.empty()) {
        const auto sent = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN || errno == ENOTCONN) return;
            throw std::runtime_error{"a proxy closed a connection while a request was sent"};
        }
        unsent_.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void Client::ready() {
    push();
    static std::array<char, std::size_t{64} * 1024> buffer;
    for (;;) {
        const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
        if (got <= 0) throw std::runtime_error{"a proxy closed a connection before the answer's end"};
        take({buffer.data(), static_cast<std::size_t>(got)});
        if (static_cast<std::size_t>(got) < buffer.size()) return;  // more is told of
    }
}

void Client::take(std::string_view data) {
    if (in_head_) read_head(data);
    if (in_head_) return;
    if (stream_) {
        const auto count = std::count(data.begin(), data.end(), event_mark);
        if (count > 0) owner_.events_came(*this, static_cast<std::size_t>(count));
        return;
    }
    if (data.size() > remaining_) throw std::runtime_error{"more came than the answer's length"};
    remaining_ -= data.size();
    if (remaining_ > 0) return;
    in_head_ = true;
    owner_.answered(*this);
}

void Client::read_head(std::string_view& data) {
    const auto before = head_.size();
    head_.append(data);
    const auto end = head_.find("\r\n\r\n");
    if (end == std::string::npos) {
        data = {};
        return;
    }
    data.remove_prefix(end + 4 - before);
    if (!head_.starts_with("HTTP/1.1 200 ")) throw std::runtime_error{"not a 200: " + head_};
    // HAProxy writes names in lower case.
    std::transform(head_.begin(), head_.end(), head_.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    constexpr std::string_view name = "\r\ncontent-length: ";
    const auto at = head_.find(name);
    stream_ = at == std::string::npos;
    if (!stream_) std::from_chars(head_.data() + at + name.size(), head_.data() + head_.size(), remaining_);
    head_.clear();
    in_head_ = false;
}

}  // namespace load
