// The list of models, out of what engines answer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace gateway {

/// What stands in /v1/models, by name. Threads: one at a time.
class ModelEntries {
  public:
    /// Of these models; an empty name is none. One, or none that is known: then all that an engine lists
    /// will do.
    explicit ModelEntries(const std::vector<std::string>& names);

    /// `body`: the answer of an engine that was asked for `name`, any bytes. What is no list of models
    /// changes nothing, and what nests deeper than 32 levels is left out of an entry. O(body).
    void note(std::string_view name, std::string_view body);

    /// What serves `model`, also under the name `alias`; where nobody does, it is left out. An alias of an
    /// alias is none.
    void add_alias(const std::string& alias, const std::string& model);

    bool is_sole() const noexcept { return is_sole_; }

    /// The whole list, as JSON.
    std::string list() const;

    /// The entry whose name is `encoded`, some of it percent-encoded perhaps, as JSON; empty when there is
    /// none. Clients do not agree which bytes are to be encoded, a "/" above all.
    std::optional<std::string> find(std::string_view encoded) const;

  private:
    bool is_sole_;
    bool takes_any_;  // a backend without a name may serve any model
    std::map<std::string, nlohmann::json> entries_{};
    std::map<std::string, nlohmann::json> aliases_{};
};

}  // namespace gateway
