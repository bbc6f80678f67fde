// The commands as CLI11 parses them, each with the call it makes.
#include "command_line.hpp"

#include <cstdlib>
#include <memory>
#include <ostream>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/model/validate.hpp>
#include <fairlead/version.hpp>

#include "fields.hpp"
#include "text.hpp"
#include "width.hpp"

namespace fairlead::ctl {
namespace {

class Parser {
  public:
    explicit Parser(Language language) : language_{language}, app_{in(text::purpose), "fairlead-ctl"} {
        if (language_ == Language::chinese) translate_labels();
        app_.set_help_flag("-h,--help", in(text::help_help));
        app_.set_version_flag("--version", "fairlead-ctl " FAIRLEAD_VERSION, in(text::help_version));
        app_.footer(in(text::footer));
        app_.add_option("--server-url", plan_.server.url, in(text::help_server_url))
            ->envname("FAIRLEAD_SERVER_URL")
            ->capture_default_str();
        app_.add_option("--api-key", plan_.server.api_key, in(text::help_api_key))
            ->envname("FAIRLEAD_API_KEY");
        app_.add_option("--request-timeout", patience_, in(text::help_request_timeout))
            ->type_name("N")
            ->capture_default_str();
        app_.add_flag("--json", plan_.raw, in(text::help_json));
        app_.require_subcommand(1);
        app_.fallthrough();  // so that the options above may also stand behind the command
        add_commands();
    }

    /// Throws `CLI::ParseError` and `UsageError`.
    Plan read(int argc, const char* const* argv) {
        app_.parse(argc, argv);
        if (!is_backend_url(plan_.server.url))
            throw UsageError{detail::say(language_, text::bad_server_url, {printable(plan_.server.url)})};
        if (!detail::is_header_text(plan_.server.api_key)) throw UsageError{in(text::bad_key)};
        // A millisecond at least: nothing answers sooner, and 0 would be "no limit" to some.
        plan_.server.patience = seconds_of("--request-timeout", patience_, 0.001, language_);
        return plan_;
    }

    Status leave(const CLI::ParseError& end, std::ostream& out, std::ostream& err) {
        if (end.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
            app_.exit(end, out, err);  // help or version
            return Status::done;
        }
        return refuse(mistake(end), err);
    }

    Status refuse(std::string_view what, std::ostream& err) const {
        err << detail::say(language_, text::see_help, {what}) << '\n';
        return Status::usage;
    }

  private:
    std::string in(const detail::Text& text) const { return std::string{text.in(language_)}; }

    void translate_labels() {
        app_.option_defaults()->group("选项");
        const auto formatter = app_.get_formatter();
        for (const auto& [label, chinese] :
             std::initializer_list<std::pair<const char*, const char*>>{{"Usage", "用法"},
                                                                        {"OPTIONS", "选项"},
                                                                        {"SUBCOMMAND", "命令"},
                                                                        {"Positionals", "参数"},
                                                                        {"REQUIRED", "必填"},
                                                                        {"Env", "环境变量"}})
            formatter->label(label, chinese);
    }

    CLI::App* command(CLI::App& parent, const char* name, const detail::Text& help) {
        CLI::App* const made = parent.add_subcommand(name, in(help));
        if (language_ == Language::chinese) made->group("命令");
        return made;
    }

    /// A command without options of its own.
    void plain(CLI::App& parent, const char* name, const detail::Text& help, const char* method,
               const char* path, Form form) {
        command(parent, name, help)->callback([this, method, path, form] {
            plan_.call.method = method;
            plan_.call.path = path;
            plan_.form = form;
        });
    }

    /// A command on one backend; `action` stands behind its name in the path.
    CLI::App* on_backend(const char* name, const detail::Text& help, const char* method, const char* action,
                         Form form = Form::message) {
        CLI::App* const sub = command(app_, name, help);
        sub->add_option("NAME", backend_, in(text::help_name))->required();
        sub->callback([this, method, action, form] {
            if (backend_.empty()) throw UsageError{detail::say(language_, text::missing_options, {"NAME"})};
            plan_.call.method = method;
            plan_.call.path = "/backends/" + as_path_segment(backend_) + action;
            plan_.form = form;
            if (wait_) plan_.then = Draining{backend_};
        });
        return sub;
    }

    void add_commands() {
        plain(app_, "status", text::help_status, "GET", "/status", Form::status);
        plain(app_, "list", text::help_list, "GET", "/backends", Form::backends);
        add_add();
        on_backend("remove", text::help_remove, "DELETE", "");
        on_backend("enable", text::help_enable, "POST", "/enable");
        on_backend("disable", text::help_disable, "POST", "/disable");
        on_backend("drain", text::help_drain, "POST", "/drain")
            ->add_flag("--wait", wait_, in(text::help_wait));
        on_backend("health-check", text::help_health_check, "POST", "/health_check", Form::health);
        add_strategy();
        plain(app_, "metrics", text::help_metrics, "GET", "/metrics", Form::metrics);
        CLI::App* const control = command(app_, "health-check-control", text::help_control);
        control->require_subcommand(1);
        plain(*control, "start", text::help_start, "POST", "/health_check/start", Form::message);
        plain(*control, "stop", text::help_stop, "POST", "/health_check/stop", Form::message);
        add_watch();
    }

    void add_add() {
        using enum Fields::Kind;
        CLI::App* const sub = command(app_, "add", text::help_add);
        const auto fields = std::make_shared<Fields>(*sub, language_);
        fields->add(text, "--name", "name", text::help_name)->required();
        fields->add(text, "--url", "url", text::help_url)->required();
        fields->add(text, "--model-name", "model_name", text::help_model)->required();
        const CLI::Option* const key =
            fields->add(text, "--backend-api-key", "api_key", text::help_backend_key);
        fields->add(whole, "--weight", "weight", text::help_weight);
        fields->add(whole, "--max-connections", "max_connections", text::help_connections);
        fields->add(Fields::Kind::number, "--timeout", "timeout", text::help_timeout);
        fields->add(whole, "--priority", "priority", text::help_priority);
        fields->add_list("--tag", "tags", text::help_tag);
        sub->callback([this, fields, key] {
            plan_.call.method = "POST";
            plan_.call.path = "/backends";
            plan_.call.body = fields->body();
            if (key->count() > 0) return;
            // An empty variable is an answer, too: the backend wants no key.
            const char* const from_environment = std::getenv("FAIRLEAD_BACKEND_API_KEY");
            if (from_environment == nullptr)
                throw UsageError{detail::say(language_, text::missing_options, {"--backend-api-key"})};
            require_utf8("FAIRLEAD_BACKEND_API_KEY", from_environment, language_);
            if (*from_environment != '\0') (*plan_.call.body)["api_key"] = from_environment;
        });
    }

    void add_strategy() {
        using enum Fields::Kind;
        CLI::App* const strategy = command(app_, "strategy", text::help_strategy);
        strategy->require_subcommand(1);
        plain(*strategy, "get", text::help_strategy_get, "GET", "/strategy", Form::strategy);
        CLI::App* const set = command(*strategy, "set", text::help_strategy_set);
        const auto fields = std::make_shared<Fields>(*set, language_);
        fields->add(text, "--strategy", "strategy", text::help_new_strategy)->required();
        fields->add(Fields::Kind::number, "--health-check-interval", "health_check_interval",
                    text::help_check_interval);
        fields->add(whole, "--max-retries", "max_retries", text::help_retries);
        fields->add(whole, "--failure-threshold", "failure_threshold", text::help_threshold);
        set->callback([this, fields] {
            plan_.call.method = "PUT";
            plan_.call.path = "/strategy";
            plan_.call.body = fields->body();
        });
    }

    void add_watch() {
        CLI::App* const sub = command(app_, "watch", text::help_watch);
        sub->add_option("--interval", interval_, in(text::help_interval))
            ->type_name("N")
            ->capture_default_str();
        sub->add_option("--count", count_, in(text::help_count))->type_name("N")->capture_default_str();
        sub->callback([this] {
            Watching watching;
            // A tenth of a second at least: nobody reads faster, and each look costs the server an answer.
            watching.interval = seconds_of("--interval", interval_, 0.1, language_);
            const auto count = whole_number("--count", count_, language_);
            if (count < 0)
                throw UsageError{detail::say(language_, text::out_of_range, {"--count", ">= 0", count_})};
            watching.count = static_cast<std::uint64_t>(count);
            plan_.call.path = "/backends";
            plan_.then = watching;
        });
    }

    std::string mistake(const CLI::ParseError& error) const {
        std::string extras;
        for (const std::string& word : app_.remaining(true))
            extras += (extras.empty() ? "" : " ") + printable(word);
        if (!extras.empty()) return detail::say(language_, text::not_expected, {extras});
        if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
            const std::string missing = missing_options();
            return missing.empty() ? in(text::no_command)
                                   : detail::say(language_, text::missing_options, {missing});
        }
        const std::string sentence = printable(error.what());
        if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
            // "--name: 1 required TEXT missing": which, stands before the colon.
            const auto colon = sentence.find(':');
            if (colon != std::string::npos)
                return detail::say(language_, text::needs_one_value, {sentence.substr(0, colon)});
        }
        return sentence;
    }

    /// Of the command that was given.
    std::string missing_options() const {
        std::string missing;
        const CLI::App* command = &app_;
        while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
        for (const CLI::Option* const option : command->get_options())
            if (option->get_required() && option->count() == 0)
                missing += (missing.empty() ? "" : ", ") + option->get_name();
        return missing;
    }

    Language language_;
    CLI::App app_;
    Plan plan_{};
    std::string patience_{"30"};  // of Server::patience
    std::string backend_{};
    bool wait_ = false;
    std::string interval_{"2"};  // of Watching::interval
    std::string count_{"0"};
};

}  // namespace

std::variant<Plan, Status> read_command_line(int argc, const char* const* argv, Language language,
                                             std::ostream& out, std::ostream& err) {
    Parser parser{language};
    try {
        return parser.read(argc, argv);
    } catch (const CLI::ParseError& end) {
        return parser.leave(end, out, err);
    } catch (const UsageError& mistake) {
        return parser.refuse(mistake.what(), err);
    }
}

}  // namespace fairlead::ctl
