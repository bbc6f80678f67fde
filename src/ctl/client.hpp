// One request to the admin API and what its answer means for the program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <fairlead/control/language.hpp>
#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/transport/http_transport.hpp>

namespace fairlead::ctl {

struct Server {
    std::string url{"http://localhost:5000"};
    std::string api_key{};  ///< empty: none is sent
    /// Of a whole exchange. 30 s: the longest that a server does before it answers is a probe, and that takes
    /// 10 s unless it is told otherwise.
    Duration patience = std::chrono::seconds{30};
};

/// A call of the admin API: the path is behind the API's prefix.
struct Call {
    std::string method{"GET"};
    std::string path{};
    std::optional<nlohmann::json> body{};
};

/// The program's exit statuses.
enum class Status : std::uint8_t {
    done = 0,
    refused = 1,     ///< the server said no, and why
    usage = 2,       ///< the command line is wrong
    unreachable = 3  ///< no answer, or none of an admin API
};

struct Answer {
    Status status = Status::unreachable;
    std::string raw{};          ///< the body as it came; empty when nothing came
    nlohmann::json document{};  ///< of an admin API's answer
    std::string problem{};      ///< why it is not `done`, a sentence without control characters

    /// What the answer holds; null when it has none.
    const nlohmann::json& data() const noexcept;
};

/// A name as one segment of a path: each byte but letters, digits and -._~ percent-encoded; of "." and "..",
/// which mean something else there, the dots too.
std::string as_path_segment(std::string_view name);

/// Talks to one server, one request at a time.
///
/// Threads: those of the loop's one runner. `ask` runs the loop until the answer has come, so other handlers
/// of the loop are called meanwhile, and may `cancel`.
class Client {
  public:
    Client(asio::io_context& io, const Server& server, Language language);

    Answer ask(const Call& call);

    /// Ends the request under way, if there is one; its answer is then `unreachable`.
    void cancel();

  private:
    Answer judge(std::error_code error, HttpResponse response) const;
    std::string reason(std::error_code error) const;

    asio::io_context& io_;
    BackendConfig server_{};
    std::string api_key_;
    Language language_;
    HttpTransport transport_;
    asio::cancellation_signal cancelled_{};
};

}  // namespace fairlead::ctl
