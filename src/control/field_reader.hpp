// Reads one value, from JSON or from the text of an environment variable, into a field; or says what is
// wrong.
#pragma once

#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fairlead/model/options.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/model/validate.hpp>

#include "json_reader.hpp"
#include "problems.hpp"

namespace fairlead::detail {

/// A setting as it was written.
struct Written {
    const nlohmann::json& value;
    const std::string& where;  ///< the setting's name in messages
    bool is_text = false;      ///< from the environment or a dotenv file: numbers and lists are text there
};

/// `> 0`, `0 or 100..599` in the given language.
std::string range_text(const Range& range, Language language);

/// Reads values and collects what is wrong. Each `read` leaves the field as it was when it adds a problem.
class FieldReader {
  public:
    explicit FieldReader(Problems& problems) : problems_(problems) {}

    Problems& problems() const noexcept { return problems_; }

    template <std::integral T>
    void read(const Written& written, T& field, const Range& range) const {
        // 2^53: beyond it a double skips whole numbers, and nothing that is counted here comes near
        constexpr double most = sizeof(T) < 8 ? static_cast<double>(std::numeric_limits<T>::max()) : 0x1p53;
        if (const auto n = number(written, range, most, Kind::whole)) field = static_cast<T>(*n);
    }

    void read(const Written& written, double& field, const Range& range) const {
        if (const auto n = number(written, range, std::numeric_limits<double>::max(), Kind::any)) field = *n;
    }

    /// Seconds as a number, fractions as well; what is above 0 stays above 0.
    void read(const Written& written, Duration& field, const Range& range) const {
        const auto n = number(written, range, max_seconds, Kind::seconds);
        if (!n) return;
        field = Duration{std::llround(*n * 1e9)};
        if (*n > 0 && field.count() == 0) field = Duration{1};
    }

    template <class T>
    void read(const Written& written, std::optional<T>& field, const Range& range) const {
        T value{};
        const std::size_t before = problems_.list().size();
        read(written, value, range);
        if (problems_.list().size() == before) field = value;
    }

    void read(const Written& written, bool& field) const;
    void read(const Written& written, std::string& field) const;
    void read(const Written& written, RetryOn& field) const;
    void read(const Written& written, LatencyTo& field) const;
    void read(const Written& written, HashKey& field) const;

    /// A seed: any whole number that 64 bits hold.
    void read(const Written& written, std::optional<std::uint64_t>& field) const;

    /// An array of texts.
    void read(const Written& written, std::vector<std::string>& field) const;

    /// An object of texts, itself perhaps within a text.
    void read(const Written& written, std::map<std::string, std::string>& field) const;

    /// The JSON that stands within a text; the value itself when it is none. Adds the problems of its syntax.
    std::optional<nlohmann::json> parsed(const Written& written) const;

  private:
    enum class Kind : std::uint8_t { whole, any, seconds };

    std::optional<double> number(const Written& written, const Range& range, double most, Kind kind) const;

    /// What was written, as it stands behind "got".
    std::string got(const Written& written) const;

    Problems& problems_;
};

}  // namespace fairlead::detail
