// Backend and load generator for measuring proxies, in one thread: tests/benchmark/gateway.py tells it what
// to do.
//
// Prints its backends' ports, then does what it reads, a line a measure, and prints one JSON object for each:
//
//     closed port=P pids=1,2 seconds=2 connections=32 body=1024    one request after the other
//     events port=P pids=1,2 seconds=3 streams=200 interval_ms=20 burst=1
//     hold port=P pids=1,2 streams=5000                            memory that open streams take
//     rate port=P seconds=3 requests=2000                          requests a second by the clock; their
//     latency first port=P streams=20 delay_ms=30                          how long a stream's first event is
//     on its way
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "backend.hpp"
#include "client.hpp"
#include "loop.hpp"
#include "process.hpp"

namespace load {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;  // for what must happen by itself

/// A chat request of `size` bytes: text as people write it, with an escape now and then.
std::string chat_request(std::size_t size, bool stream) {
    std::string body = stream ? R"({"model":"m","stream":true,"messages":[{"role":"user","content":")"
                              : R"({"model":"m","messages":[{"role":"user","content":")";
    constexpr std::string_view end = R"("}]})";
    constexpr std::string_view text =
        R"(The quick brown fox jumps over the lazy dog, and \"the dog\" does not mind at all.\n)";
    while (body.size() + text.size() + end.size() <= size) body += text;
    if (const auto now = body.size() + end.size(); now < size) body.append(size - now, 'x');
    body += end;
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example\r\nUser-Agent: OpenAI/Python "
           "1.40.0\r\n"
           "Accept: application/json\r\nAuthorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

class Arguments {
  public:
    explicit Arguments(std::istream& words) {
        for (std::string word; words >> word;) {
            const auto equals = word.find('=');
            values_[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }
    double number(const std::string& name) const { return std::stod(text(name)); }
    std::size_t count(const std::string& name) const { return std::stoul(text(name)); }
    std::uint16_t port() const { return static_cast<std::uint16_t>(count("port")); }
    Clock::duration seconds() const { return time("seconds"); }
    /// For connections to be made and pools to be filled.
    Clock::duration warm_up() const { return time("warm_up"); }
    std::chrono::nanoseconds milliseconds(const std::string& name) const {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::chrono::duration<double, std::milli>(number(name)));
    }
    Process process() const {
        std::vector<pid_t> pids;
        std::istringstream list{text("pids")};
        for (std::string pid; std::getline(list, pid, ',');) pids.push_back(std::stoi(pid));
        return Process{std::move(pids)};
    }

  private:
    Clock::duration time(const std::string& name) const {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(number(name)));
    }
    const std::string& text(const std::string& name) const {
        const auto found = values_.find(name);
        if (found == values_.end()) throw std::invalid_argument{name + "= is missing"};
        return found->second;
    }
    std::map<std::string, std::string> values_{};
};

double microseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::micro>(time).count();
}

/// `share` of them are at most this; 0 when there is none.
double quantile(std::vector<double>& values, double share) {
    if (values.empty()) return 0;
    const auto index = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(index);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

class Load final : public Client::Owner {
  public:
    Load() : backend_{loop_} {}

    auto ports() const { return backend_.where(); }

    void idle(Loop& loop) { loop.step(Clock::now() + 1s); }
    Loop& loop() noexcept { return loop_; }

    std::string measure(const std::string& what, const Arguments& arguments) {
        std::string result;
        if (what == "closed") result = closed(arguments);
        if (what == "events") result = events(arguments);
        if (what == "hold") result = hold(arguments);
        if (what == "rate") result = rate(arguments);
        if (what == "first") result = first(arguments);
        if (result.empty()) throw std::invalid_argument{"no such measure: " + what};
        clients_.clear();
        free_.clear();
        on_answer_ = [](Client&) {};
        // A proxy that watches its clients ends their streams now; HAProxy does not see it while they are
        // quiet.
        for (std::size_t before = 0; before != backend_.streams(); run_until(Clock::now() + 300ms)) {
            before = backend_.streams();
        }
        backend_.end_streams();
        return result;
    }

    void answered(Client& client) override { on_answer_(client); }
    void events_came(Client&, std::size_t count) override {
        events_ += count;
        last_event_ = Clock::now();
    }

  private:
    // --- running ---

    void run_until(Time end) {
        for (auto now = Clock::now(); now < end; now = Clock::now()) {
            loop_.step(std::min(backend_.send_due(now), end));
        }
    }

    template <class Condition>
    void until(Condition holds, const char* problem) {
        const auto end = Clock::now() + patience;
        while (!holds()) {
            const auto now = Clock::now();
            if (now > end) throw std::runtime_error{problem};
            loop_.step(std::min(backend_.send_due(now), now + 10ms));
        }
    }

    Client& connect(std::uint16_t port) {
        return *clients_.emplace_back(std::make_unique<Client>(loop_, *this, port));
    }

    /// Runs for the time asked for after a warm-up, and tells what was counted and what the proxy took.
    std::string counted(const Arguments& arguments, const std::size_t& counter) {
        const auto process = arguments.process();
        run_until(Clock::now() + arguments.warm_up());
        const auto before = counter;
        const auto cpu_before = process.cpu();
        const auto began = Clock::now();
        run_until(began + arguments.seconds());
        const auto cpu = process.cpu() - cpu_before;
        const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
        std::ostringstream out;
        out << "{\"count\": " << counter - before << ", \"cpu_us\": " << microseconds(cpu)
            << ", \"seconds\": " << seconds << "}";
        return out.str();
    }

    // --- the measures ---

    std::string closed(const Arguments& arguments) {
        backend_.behave({});
        request_ = chat_request(arguments.count("body"), false);
        std::size_t count = 0;
        on_answer_ = [this, &count](Client& client) {
            ++count;
            client.send(request_, {});
        };
        for (auto i = arguments.count("connections"); i > 0; --i)
            connect(arguments.port()).send(request_, {});
        return counted(arguments, count);
    }

    std::string events(const Arguments& arguments) {
        Behaviour behaviour;
        behaviour.kind = Behaviour::Kind::events;
        behaviour.interval = arguments.milliseconds("interval_ms");
        behaviour.burst = static_cast<unsigned>(arguments.count("burst"));
        backend_.behave(behaviour);
        request_ = chat_request(1024, true);
        for (auto i = arguments.count("streams"); i > 0; --i) connect(arguments.port()).send(request_, {});
        return counted(arguments, events_);
    }

    std::string hold(const Arguments& arguments) {
        const auto process = arguments.process();
        // Something has been served, so that what is made at first use does not count as a stream's.
        warm(arguments.port());
        const auto before = process.pss();
        Behaviour behaviour;
        behaviour.kind = Behaviour::Kind::hold;
        backend_.behave(behaviour);
        request_ = chat_request(1024, true);
        const auto streams = arguments.count("streams");
        const auto come = events_;
        constexpr std::size_t at_once = 100;  // below any backlog
        while (clients_.size() < streams) {
            connect(arguments.port()).send(request_, {});
            until([&] { return clients_.size() - (events_ - come) < at_once; }, "streams do not open");
        }
        until([&] { return events_ - come == streams; }, "streams do not open");
        run_until(Clock::now() + 1s);
        const double bytes = 1024.0 * (static_cast<double>(process.pss()) - static_cast<double>(before));
        std::ostringstream out;
        out << "{\"streams\": " << streams << ", \"before_kib\": " << before
            << ", \"bytes_each\": " << bytes / static_cast<double>(streams) << "}";
        return out.str();
    }

    void warm(std::uint16_t port) {
        backend_.behave({});
        request_ = chat_request(1024, false);
        std::size_t left = 200;
        on_answer_ = [&](Client& client) {
            if (--left > 0) client.send(request_, {});
        };
        connect(port).send(request_, {});
        until([&] { return left == 0; }, "no answers");
        on_answer_ = [](Client&) {};
        clients_.clear();
    }

    std::string rate(const Arguments& arguments) {
        backend_.behave({});
        request_ = chat_request(1024, false);
        std::vector<double> latencies;
        bool counting = false;
        on_answer_ = [&](Client& client) {
            if (counting) latencies.push_back(microseconds(Clock::now() - client.sent()));
            free_.push_back(&client);
        };
        // Arrivals at random moments, the same in each run.
        std::mt19937_64 random{1};
        std::exponential_distribution<double> gap{arguments.number("requests")};
        const auto began = Clock::now();
        const auto count_from = began + arguments.warm_up();
        const auto end = count_from + arguments.seconds();
        for (auto next = began; next < end;) {
            run_until(next);
            counting = next >= count_from;
            Client* client = nullptr;
            if (free_.empty()) {
                client = &connect(arguments.port());
            } else {
                client = free_.back();
                free_.pop_back();
            }
            client->send(request_, next);
            next += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap(random)));
        }
        until([this] { return free_.size() == clients_.size(); }, "answers are missing");
        std::ostringstream out;
        out << "{\"count\": " << latencies.size() << ", \"p50_us\": " << quantile(latencies, 0.5)
            << ", \"p99_us\": " << quantile(latencies, 0.99) << "}";
        return out.str();
    }

    std::string first(const Arguments& arguments) {
        Behaviour behaviour;
        behaviour.kind = Behaviour::Kind::hold;
        behaviour.delay = arguments.milliseconds("delay_ms");
        backend_.behave(behaviour);
        request_ = chat_request(1024, true);
        std::vector<double> waits;
        for (auto i = arguments.count("streams"); i > 0; --i) {
            const auto come = events_;
            connect(arguments.port()).send(request_, {});
            until([&] { return events_ > come; }, "a first event does not come");
            waits.push_back(microseconds(last_event_ - backend_.last_event()) / 1000);
        }
        std::ostringstream out;
        out << "{\"median_ms\": " << quantile(waits, 0.5) << ", \"max_ms\": " << quantile(waits, 1) << "}";
        return out.str();
    }

    Loop loop_{};
    Backend backend_;
    std::string request_{};
    std::vector<std::unique_ptr<Client>> clients_{};
    std::vector<Client*> free_{};
    std::function<void(Client&)> on_answer_ = [](Client&) {};
    std::size_t events_ = 0;
    Time last_event_{};
};

/// Lines of the standard input. It is part of the loop, because the proxies probe the backend all the time.
class Commands final : public Watcher {
  public:
    explicit Commands(Loop& loop) : fd_{::dup(STDIN_FILENO)} {
        ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
        loop.add(fd_, *this);
    }

    void ready() override {
        std::array<char, 4096> buffer{};
        for (;;) {
            const auto got = ::read(fd_.get(), buffer.data(), buffer.size());
            if (got == 0) ended_ = true;
            if (got <= 0) return;
            text_.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }

    bool ended() const noexcept { return ended_ && text_.empty(); }

    /// Empty when there is none yet.
    std::string next() {
        const auto end = text_.find('\n');
        if (end == std::string::npos) return {};
        auto line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
    }

  private:
    Descriptor fd_;
    std::string text_{};
    bool ended_ = false;
};

void run() {
    Load load;
    Commands commands{load.loop()};
    for (const auto port : load.ports()) std::cout << port << ' ';
    std::cout << std::endl;
    while (!commands.ended()) {
        const auto line = commands.next();
        if (line.empty()) {
            load.idle(load.loop());
            continue;
        }
        std::istringstream words{line};
        std::string what;
        words >> what;
        std::cout << load.measure(what, Arguments{words}) << std::endl;
    }
}

}  // namespace
}  // namespace load

int main() {
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // else a wait lasts up to 50 us longer
    try {
        load::run();
    } catch (const std::exception& error) {
        std::cerr << "bench-gateway-load: " << error.what() << '\n';
        return 1;
    }
}
