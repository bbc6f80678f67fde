// What an operator configures, read and checked: the plain result of `load_settings()`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead {

/// How the settings say that requests are balanced.
enum class Mode : std::uint8_t {
    single_backend,           ///< nothing is balanced: no checks, no ejection, no retries elsewhere
    single_backend_balanced,  ///< one backend under the full machinery
    multi_backend             ///< several
};

/// What `consistent_hash` goes by, of what a request has.
enum class HashKey : std::uint8_t {
    any,     ///< the first that there is: `affinity_header`, X-Session-ID, the body's `user`, its prompt
    header,  ///< `affinity_header`, or X-Session-ID
    user,    ///< the body's `user`
    prefix   ///< the leading blocks of its prompt
};

constexpr const char* to_string(Mode mode) noexcept {
    switch (mode) {
        case Mode::single_backend:
            return "single_backend";
        case Mode::single_backend_balanced:
            return "single_backend_balanced";
        case Mode::multi_backend:
            return "multi_backend";
    }
    return "unknown";
}

/// What `Mode::single_backend` makes of the options: health checks, ejection, rests, retries, timing and load
/// reports are off, so that `select` returns the one backend whatever it answered, and nothing is paid for
/// comparing it.
inline void not_balanced(Options& options) noexcept {
    options.health_check = false;
    options.ejection = false;
    options.max_retries = 0;
    options.rest_max = Duration::zero();
    options.timing = false;
    options.load_monitor = false;
    options.load_headers = false;
}

/// Everything that the environment, the dotenv file and the settings file say. A plain value: make one by
/// hand in a test, or with `load_settings()` (control/load_settings.hpp), which checks it.
struct Settings {
    Mode mode = Mode::single_backend;
    std::vector<BackendConfig> backends{};
    std::string strategy = "round_robin";
    Options options{};

    std::string admin_key{};            ///< of the admin API; empty: loopback only
    bool metrics_key_required = false;  ///< whether `/metrics` needs the admin key, too
    std::string affinity_header{};      ///< whose value is `Criteria::key`, before X-Session-ID's
    std::map<std::string, std::string> model_aliases{};  ///< name a client may use -> `model_name`
    std::string tls_ca_file{};         ///< PEM file of authorities, trusted beside the system's
    HashKey hash_key = HashKey::any;   ///< of a request that the gateway relays
    bool stream_continuation = false;  ///< whether the rest of a stream that broke is asked of another
    bool comments_count = true;        ///< whether comments in a stream of events end a backend's silence
    std::size_t max_body_bytes = std::size_t{64} * 1024 * 1024;  ///< of a request that the gateway relays

    bool operator==(const Settings&) const = default;
};

}  // namespace fairlead
