// What the API's answers look like to a person: fields become rows and cells, and what is missing becomes
// "-".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/control/language.hpp>

namespace fairlead::ctl {

/// How an answer is shown; each of the API's documents has its own form.
enum class Form : std::uint8_t {
    message,   ///< its sentence
    status,    ///< of `GET /status`
    backends,  ///< of `GET /backends`: how they are configured
    metrics,   ///< of `GET /metrics`: the figures of each
    health,    ///< of a probe
    strategy   ///< of `GET /strategy`
};

using Lines = std::vector<std::string>;

/// The lines for an answer. Fields that are missing, or of another kind than the contract says, are shown as
/// "-": a newer or older server still has a table. Never throws for what stands in the document.
Lines show(Form form, const nlohmann::json& answer, Language language);

/// Requests a second by backend.
using Rates = std::map<std::string, double>;

/// The live table: `data` of `GET /backends`. A backend without a rate has "-".
Lines show_live(const nlohmann::json& data, const Rates& rates, Language language);

/// Where a field lies among objects, such as {"metrics", "status"}; null when it is not there.
const nlohmann::json& field_of(const nlohmann::json& object,
                               std::initializer_list<const char*> path) noexcept;

}  // namespace fairlead::ctl
