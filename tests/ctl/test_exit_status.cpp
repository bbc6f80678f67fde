// Refused, wrongly used, not reached: each with its status and a sentence that helps.
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <fairlead/transport/transport_error.hpp>

#include "ctl/documents.hpp"
#include "ctl/fake_api.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/tls_peer.hpp"

using test::FakeApi;
using test::Ran;
using test::run_ctl;

namespace {

using Words = std::vector<std::string>;

/// The url of a port on which nobody listens: it was free a moment ago.
std::string url_of_nobody() {
    asio::io_context io;
    const asio::ip::tcp::acceptor taken{io, {asio::ip::address_v4::loopback(), 0}};
    return "http://127.0.0.1:" + std::to_string(taken.local_endpoint().port());
}

}  // namespace

TEST_CASE("what the server refuses ends with 1 and its detail on stderr") {
    FakeApi api;
    api.on("DELETE /backends/a", R"({"status":"error","detail":"there is no backend \"a\""})", 404)
        .on("GET /status", R"({"status":"error","detail":"the key is missing or wrong"})", 401)
        .on("POST /backends", R"({"status":"error","detail":{"weight":"must be 1..65535"}})", 422);
    const Ran ran = run_ctl(api, {"remove", "a"});
    CHECK(ran.status == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == "fairlead-ctl: there is no backend \"a\"\n");
    CHECK(run_ctl(api, {"status"}).status == 1);
    const Ran many = run_ctl(
        api, {"add", "--name", "a", "--url", "http://h", "--model-name", "q", "--backend-api-key", "k"});
    CHECK(many.status == 1);
    CHECK(many.err == "fairlead-ctl: {\"weight\":\"must be 1..65535\"}\n");
}

TEST_CASE("a command line that is wrong ends with 2, names what is wrong, and sends nothing") {
    struct Case {
        Words words;
        std::string says;
    };
    const Words add{"add", "--name", "a", "--url", "http://h", "--model-name", "q", "--backend-api-key", "k"};
    const auto add_with = [&add](Words more) {
        more.insert(more.begin(), add.begin(), add.end());
        return more;
    };
    FakeApi api;
    for (const auto& [words, says] : std::vector<Case>{
             {{}, "a command is missing"},
             {{"lst"}, "not understood: lst"},
             {{"list", "more"}, "not understood: more"},
             {{"list", "status"}, "not understood: status"},
             {{"--unknown", "list"}, "not understood: --unknown"},
             {{"list", "--unknown"}, "not understood: --unknown"},
             {{"remove"}, "missing: NAME"},
             {{"remove", ""}, "missing: NAME"},
             {{"remove", "a", "b"}, "not understood: b"},
             {{"enable", "a", "--wait"}, "not understood: --wait"},
             {{"strategy"}, "a command is missing"},
             {{"strategy", "set"}, "missing: --strategy"},
             {{"strategy", "set", "--strategy"}, "--strategy must be given once, with a value"},
             {{"strategy", "set", "--strategy", "a", "--strategy", "b"}, "--strategy must be given once"},
             {{"strategy", "set", "--strategy", "a", "--max-retries", "1.5"},
              "--max-retries must be a whole number, got \"1.5\""},
             {{"health-check-control"}, "a command is missing"},
             {{"health-check-control", "pause"}, "not understood: pause"},
             {{"add", "--name", "a"}, "missing: --url, --model-name"},
             {{"add", "--name", "a", "--url", "u", "--model-name", "q"}, "missing: --backend-api-key"},
             {{"add", "--nmae", "a"}, "not understood: --nmae"},
             {add_with({"--weight", "heavy"}), "--weight must be a whole number, got \"heavy\""},
             {add_with({"--weight", "0x10"}), "--weight must be a whole number"},
             {add_with({"--weight", ""}), "--weight must be a whole number"},
             {add_with({"--weight", "99999999999999999999"}), "--weight must be a whole number"},
             {add_with({"--timeout", "nan"}), "--timeout must be a number"},
             {add_with({"--timeout", "inf"}), "--timeout must be a number"},
             {add_with({"--timeout", "5s"}), "--timeout must be a number"},
             {add_with({"--tag", "\xff"}), "--tag must be UTF-8"},
             {{"list", "--json=perhaps"}, ""},
             {{"watch", "--interval", "0"}, "--interval must be 0.1..1000000000, got \"0\""},
             {{"watch", "--count", "-1"}, "--count must be >= 0"},
             {{"list", "--request-timeout", "0"}, "--request-timeout must be"},
             {{"list", "--api-key", "a\nb"}, "the API key must not hold control characters"}}) {
        INFO(says);
        const Ran ran = run_ctl(api, words);
        CHECK(ran.status == 2);
        CHECK(ran.out.empty());
        CHECK(ran.err.starts_with("fairlead-ctl: " + says));
        CHECK(ran.err.ends_with("; see fairlead-ctl --help\n"));
    }
    CHECK(api.asked().empty());
    for (const auto* const url : {"localhost:5000", "ftp://h", "http://", "http://user:secret@h"}) {
        const Ran ran = run_ctl({"--server-url", url, "list"});
        CHECK(ran.status == 2);
        CHECK(ran.err.starts_with("fairlead-ctl: --server-url must be http://HOST:PORT"));
    }
}

TEST_CASE("a mistake is named in Chinese where the language is") {
    const test::Manner chinese{fairlead::Language::chinese};
    CHECK(run_ctl(Words{}, chinese).err == "fairlead-ctl：缺少命令；见 fairlead-ctl --help\n");
    CHECK(run_ctl({"remove"}, chinese).err == "fairlead-ctl：缺少：NAME；见 fairlead-ctl --help\n");
    CHECK(run_ctl({"strategy", "set", "--strategy"}, chinese).err ==
          "fairlead-ctl：--strategy 必须给出一次，并带一个值；见 fairlead-ctl --help\n");
}

TEST_CASE("help and version end with 0, of every command") {
    CHECK(run_ctl({"--version"}).out.starts_with("fairlead-ctl 0."));
    CHECK(run_ctl({"list", "--version"}).status == 0);
    const Ran help = run_ctl({"--help"});
    CHECK(help.status == 0);
    CHECK(help.err.empty());
    for (const auto* const command :
         {"status", "list", "add", "remove", "enable", "disable", "drain", "health-check", "strategy",
          "metrics", "health-check-control", "watch"}) {
        INFO(command);
        CHECK(help.out.find(std::string{"\n  "} + command) != std::string::npos);
        const Ran of_command = run_ctl({command, "--help"});
        CHECK(of_command.status == 0);
        CHECK(of_command.out.find(std::string{"fairlead-ctl "} + command) != std::string::npos);
    }
    const Ran chinese = run_ctl({"--help"}, {fairlead::Language::chinese});
    CHECK(chinese.out.find("用法: fairlead-ctl [选项] 命令") != std::string::npos);
    CHECK(chinese.out.find("Options:") == std::string::npos);
}

TEST_CASE("a server that cannot be reached ends with 3 and the reason") {
    const auto nobody = url_of_nobody();
    const Ran refused = run_ctl({"--server-url", nobody, "list"});
    CHECK(refused.status == 3);
    CHECK(refused.err ==
          "fairlead-ctl: " + nobody +
              " could not be reached: the connection was refused; does the server run there?\n");
    CHECK(run_ctl({"--server-url", nobody, "list"}, {fairlead::Language::chinese}).err ==
          "fairlead-ctl: 无法连接 " + nobody + "：连接被拒绝；服务器是否在运行？\n");
    // RFC 6761: no name below "invalid" is ever found.
    const Ran unknown = run_ctl({"--server-url", "http://nobody.invalid:5000", "list"});
    CHECK(unknown.status == 3);
    CHECK(unknown.err.find("could not be reached") != std::string::npos);

    FakeApi api;
    api.hang([] {});
    const Ran slow = run_ctl(api, {"list", "--request-timeout", "0.05"});
    CHECK(slow.status == 3);
    CHECK(slow.err.find("no answer came in time") != std::string::npos);
}

TEST_CASE("a server that breaks off, speaks otherwise or cannot prove who it is ends with 3 and the reason") {
    struct Case {
        fairlead::test::RawPeer::Script script;
        std::string says;
    };
    using Connection = fairlead::test::RawPeer::Connection;
    const auto answers = [](std::string text) {
        return [text = std::move(text)](Connection& c) {
            c.read_request();
            c.send(text);
        };
    };
    for (const auto& [script, says] :
         std::vector<Case>{{answers(""), "the connection was closed before the answer"},
                           {[](Connection& c) {
                                c.read_request();
                                c.reset();
                            },
                            "the connection was closed before the answer"},
                           {answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
                            fairlead::make_error_code(fairlead::TransportErrc::truncated_length).message()},
                           {answers("SSH-2.0-OpenSSH_9.2\r\n"),
                            fairlead::make_error_code(fairlead::TransportErrc::not_http).message()}}) {
        fairlead::test::RawPeer peer{script};
        const Ran ran = run_ctl({"--server-url", peer.url(), "list"});
        CHECK(ran.status == 3);
        CHECK(ran.out.empty());
        CHECK(ran.err == "fairlead-ctl: " + peer.url() + " could not be reached: " + says + "\n");
    }
    const fairlead::test::Certificate own{"IP:127.0.0.1"};  // nobody else vouches for it
    const fairlead::test::TlsPeer stranger{own, ""};
    const auto url = "https://127.0.0.1:" + std::to_string(stranger.port());
    const Ran ran = run_ctl({"--server-url", url, "list"});
    CHECK(ran.status == 3);
    CHECK(ran.err == "fairlead-ctl: " + url +
                         " could not be reached: its certificate is not trusted or names another host\n");
    // There is no answer that --json could print.
    const Ran raw = run_ctl({"--server-url", url, "watch", "--json", "--count", "1"});
    CHECK(raw.status == 3);
    CHECK(raw.out.empty());
}

TEST_CASE("an answer that is none of an admin API ends with 3, whatever its status") {
    std::string deep = R"({"status":"success","data":)";
    for (int i = 0; i < 10'000; ++i) deep += '[';
    struct Case {
        std::string body;
        int status;
    };
    for (const auto& [body, status] :
         std::vector<Case>{{"<html>welcome</html>", 200},
                           {"", 200},
                           {"[]", 200},
                           {"null", 200},
                           {R"({"status":"success"})", 201},
                           {R"({"status":"error","detail":"of another service"})", 200},
                           {R"({"status":"error"})", 500},
                           {R"({"status":7,"detail":"x"})", 500},
                           {R"({"error":{"message":"unknown path","code":"not_found"}})", 404},
                           {R"({"detail":"Not Found"})", 404},
                           {"{\"status\":\"success\",\"data\":\"\xff\"}", 200},
                           {deep, 200}}) {
        INFO(body.substr(0, 60));
        FakeApi api;
        api.on("GET /backends", body, status);
        const Ran ran = run_ctl(api, {"list"});
        CHECK(ran.status == 3);
        CHECK(ran.out.empty());
        CHECK(ran.err == "fairlead-ctl: " + api.url() + ": what answers there (status " +
                             std::to_string(status) + ") is no fairlead admin API\n");
    }
}
