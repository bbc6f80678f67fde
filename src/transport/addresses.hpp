// Where a backend's name points: looked up now and then, and known meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// The addresses behind one name.
///
/// Asio looks up the names of a loop on one thread, one after the other. If each connection asked anew, one
/// name whose server does not answer (for 5 to 20 s) would keep all other backends without new connections,
/// past their `connect_timeout`. So what the last good look-up found is used at once, and looked up again
/// behind its back when it is `old`; one look-up at a time, whoever has no address waits for it.
///
/// Threads: any. Takes its mutex for moves of pointers.
class Addresses : public std::enable_shared_from_this<Addresses> {
  public:
    using Found = asio::ip::tcp::resolver::results_type;
    using Then = std::function<void(std::error_code, const Found&)>;

    // A backend that has moved is found again after that. More than a look-up takes, by far.
    static constexpr Duration old = std::chrono::seconds{30};
    // Without a good look-up for so long, an address may be somebody else's. Name servers come back sooner.
    static constexpr Duration useless = std::chrono::minutes{10};

    Addresses(std::string host, std::string port) : host_{std::move(host)}, port_{std::move(port)} {}

    /// What is known. Where that is nothing, it is empty, and `then` is called when a look-up has ended, on
    /// the loop, not within this call.
    Found find(const asio::any_io_executor& loop, Time now, Then then);

    /// None of them is of use: the name may point elsewhere by now.
    void forget();

    bool are_known(Time now);

  private:
    /// One that is under way; its handler owns it, and so whoever waits.
    struct LookUp {
        asio::ip::tcp::resolver resolver;
        Time asked_at;
        std::vector<Then> waiting{};
    };

    void ended(LookUp& lookup, std::error_code error, const Found& found);

    const std::string host_;
    const std::string port_;

    std::mutex mutex_{};  // of all below, and of who waits
    Found known_{};
    Time known_at_{};
    std::weak_ptr<LookUp> under_way_{};
};

}  // namespace fairlead::detail
