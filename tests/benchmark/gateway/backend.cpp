// Requests are read as far as their length tells; bodies are thrown away by the kernel.
#include "backend.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace load {
namespace {

constexpr std::string_view probe_answer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"data\":[]}";

// As an engine answers: 300 bytes of JSON.
const std::string& plain_answer() {
    static const std::string made = [] {
        std::string body =
            R"({"id":"chatcmpl-8f1c","object":"chat.completion","created":1760000000,"model":"m","choices":)"
            R"([{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":)"
            R"({"prompt_tokens":212,"completion_tokens":17,"total_tokens":229}})";
        body.insert(body.find("content\":\"") + 10, 300 - body.size(), 'x');
        return "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
    }();
    return made;
}

constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nCache-Control: no-cache\r\n"
    "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

// One token of vLLM's, as one chunk.
const std::string& event_chunk() {
    static const std::string made = [] {
        const std::string event =
            R"(data: {"id":"chatcmpl-8f1c2f1e5c1a4a","object":"chat.completion.chunk","created":1760000000,)"
            R"("model":"m","choices":[{"index":0,"delta":{"content":"~token"},"logprobs":null,)"
            R"("finish_reason":null}]})"
            "\n\n";
        std::array<char, 16> size{};
        const auto* const end = std::to_chars(size.data(), size.data() + size.size(), event.size(), 16).ptr;
        const std::string_view digits{size.data(), static_cast<std::size_t>(end - size.data())};
        return std::string{digits} + "\r\n" + event + "\r\n";
    }();
    return made;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
    return text.size() >= lower.size() &&
           std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
               return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
           });
}

std::uint64_t length_of(std::string_view head) {
    for (auto at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
        const auto line = head.substr(at + 2);
        constexpr std::string_view name = "content-length: ";
        if (starts_with_ignoring_case(line, "transfer-encoding:")) {
            throw std::runtime_error{"a proxy sent a body without its length on"};
        }
        if (!starts_with_ignoring_case(line, name)) continue;
        std::uint64_t length = 0;
        std::from_chars(line.data() + name.size(), line.data() + line.size(), length);
        return length;
    }
    return 0;
}

}  // namespace

class BackendConnection final : public Watcher {
  public:
    BackendConnection(Backend& owner, Descriptor fd, std::uint64_t number)
        : id{number}, owner_{owner}, fd_{std::move(fd)} {}
    ~BackendConnection() override {
        if (streaming_) owner_.stream_ends();
    }

    const Descriptor& fd() const noexcept { return fd_; }
    bool is_streaming() const noexcept { return streaming_; }

    void ready() override {
        static std::array<char, std::size_t{64} * 1024> buffer;
        for (;;) {
            // The kernel throws away what it need not copy; only heads are looked at.
            const bool body = remaining_ > 0;
            const auto wanted = body
                                    ? static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, 1U << 22U))
                                    : buffer.size();
            const auto got = ::recv(fd_.get(), buffer.data(), wanted, body ? MSG_TRUNC : 0);
            if (got < 0 && errno == EAGAIN) return;
            if (got <= 0) return owner_.gone(*this);
            if (body) {
                remaining_ -= static_cast<std::uint64_t>(got);
                if (remaining_ == 0) answer();
            } else {
                take({buffer.data(), static_cast<std::size_t>(got)});
            }
        }
    }

    void send(std::string_view text) {
        const auto sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;  // `ready` tells in a moment
        if (sent != static_cast<ssize_t>(text.size())) {
            throw std::runtime_error{"a proxy takes too little: the backend's socket is full"};
        }
    }

    const std::uint64_t id;

  private:
    void take(std::string_view data) {
        while (!data.empty()) {
            const auto before = head_.size();
            head_.append(data);
            const auto end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
            if (end == std::string::npos) return;
            data.remove_prefix(end + 4 - before);
            head_.resize(end + 4);
            remaining_ = length_of(head_);
            get_ = head_.starts_with("GET ");
            head_.clear();
            const auto here = std::min<std::uint64_t>(remaining_, data.size());
            data.remove_prefix(static_cast<std::size_t>(here));
            remaining_ -= here;
            if (remaining_ == 0) answer();
        }
    }

    void answer() {
        if (get_) return send(probe_answer);
        const auto& behaviour = owner_.behaviour();
        if (behaviour.kind == Behaviour::Kind::answer) return send(plain_answer());
        streaming_ = true;
        if (behaviour.kind == Behaviour::Kind::hold && behaviour.delay.count() == 0) {
            send(std::string{stream_head} + event_chunk());
        } else {
            send(stream_head);
        }
        owner_.stream_begins(*this);
    }

    Backend& owner_;
    Descriptor fd_;
    std::string head_{};
    std::uint64_t remaining_ = 0;
    bool get_ = false;
    bool streaming_ = false;
};

struct Backend::Port final : Watcher {
    explicit Port(Backend& o) : owner{o}, fd{listen_on_free_port()} {}
    void ready() override { owner.accept(fd); }
    Backend& owner;
    Descriptor fd;
};

Backend::Backend(Loop& loop) : loop_{loop} {
    for (std::size_t i = 0; i < ports; ++i) {
        listening_.push_back(std::make_unique<Port>(*this));
        loop_.add(listening_.back()->fd, *listening_.back());
    }
}

Backend::~Backend() = default;

std::array<std::uint16_t, Backend::ports> Backend::where() const {
    std::array<std::uint16_t, ports> result{};
    for (std::size_t i = 0; i < ports; ++i) result[i] = port_of(listening_[i]->fd);
    return result;
}

void Backend::accept(const Descriptor& listener) {
    for (;;) {
        auto fd = accept_from(listener);
        if (fd.get() < 0) return;
        auto made = std::make_unique<BackendConnection>(*this, std::move(fd), next_id_++);
        loop_.add(made->fd(), *made);
        connections_.emplace(made->id, std::move(made));
    }
}

void Backend::gone(BackendConnection& connection) {
    const auto found = connections_.find(connection.id);
    loop_.bury(std::move(found->second));
    connections_.erase(found);
}

void Backend::stream_begins(BackendConnection& connection) {
    ++streaming_;
    last_event_ = Clock::now();
    auto at = last_event_ + behaviour_.delay;
    if (behaviour_.kind == Behaviour::Kind::events) {
        // Spread over the interval by a golden-ratio sequence: evenly, however many there are.
        const double turn = static_cast<double>(connection.id) * 0.6180339887498949;
        at += std::chrono::nanoseconds{
            static_cast<std::int64_t>(static_cast<double>(behaviour_.interval.count()) *
                                      (turn - static_cast<double>(static_cast<std::uint64_t>(turn))))};
    } else if (behaviour_.delay.count() == 0) {
        return;
    }
    due_.push_back({at, connection.id});
    std::push_heap(due_.begin(), due_.end(), std::greater<>{});
}

void Backend::end_streams() {
    std::erase_if(connections_, [](const auto& each) { return each.second->is_streaming(); });
}

Time Backend::send_due(Time now) {
    while (!due_.empty() && due_.front().at <= now) {
        std::pop_heap(due_.begin(), due_.end(), std::greater<>{});
        auto& next = due_.back();
        const auto found = connections_.find(next.id);
        if (found == connections_.end() || behaviour_.kind == Behaviour::Kind::answer) {
            due_.pop_back();
            continue;
        }
        for (unsigned i = 0; i < behaviour_.burst; ++i) found->second->send(event_chunk());
        last_event_ = Clock::now();
        if (behaviour_.kind == Behaviour::Kind::hold) {
            due_.pop_back();
            continue;
        }
        next.at += behaviour_.interval;
        std::push_heap(due_.begin(), due_.end(), std::greater<>{});
    }
    return due_.empty() ? Time::max() : due_.front().at;
}

}  // namespace load
