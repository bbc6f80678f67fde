// The field "model" of a multipart form is found as strictly as that of a JSON body.
#include <string>
#include <vector>

#include "gateway/form_field.hpp"
#include "support/catch.hpp"

namespace {

const std::string form_type = "multipart/form-data; boundary=XyZ";

std::string field_part(const std::string& name, const std::string& value, const std::string& more = "") {
    return "--XyZ\r\nContent-Disposition: form-data; name=\"" + name + "\"" + more + "\r\n\r\n" + value +
           "\r\n";
}

const std::string audio_part =
    "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".wav\"\r\nContent-Type: "
    "audio/wav\r\n\r\n\x01\x02\r\n--Xy\r\n--\r\nmodel\r\n";
const std::string form_end = "--XyZ--\r\n";

}  // namespace

TEST_CASE("a form's model is found in any place and replaced where it stands") {
    for (const auto& body : {field_part("model", "whisper-1") + audio_part + form_end,
                             audio_part + field_part("model", "whisper-1") + form_end,
                             audio_part + field_part("model", "whisper-1") + "--XyZ--"}) {
        const auto scan = gateway::find_form_model(form_type, body);
        CHECK(scan.problem.empty());
        REQUIRE(scan.field.value == "whisper-1");
        CHECK(body.substr(scan.field.begin, scan.field.end - scan.field.begin) == "whisper-1");
        const auto changed = gateway::with_form_model(body, scan.field, "own/name");
        CHECK(gateway::find_form_model(form_type, changed).field.value == "own/name");
        // Every other byte is where it was.
        CHECK(changed == body.substr(0, scan.field.begin) + "own/name" + body.substr(scan.field.end));
    }
}

TEST_CASE("a form without a model gets one as its first field") {
    const auto body = audio_part + form_end;
    const auto scan = gateway::find_form_model(form_type, body);
    CHECK(scan.problem.empty());
    CHECK_FALSE(scan.field.value);
    CHECK(gateway::with_form_model(body, scan.field, "m") == field_part("model", "m") + body);
    // Also one without any field.
    CHECK(gateway::with_form_model(form_end, gateway::find_form_model(form_type, form_end).field, "m") ==
          field_part("model", "m") + form_end);
    CHECK(gateway::with_form_model("--XyZ--", gateway::find_form_model(form_type, "--XyZ--").field, "m") ==
          field_part("model", "m") + "--XyZ--");
}

TEST_CASE("a form's boundary is read in each of its spellings") {
    const auto body = field_part("model", "m") + form_end;
    for (const auto* type : {"multipart/form-data; boundary=XyZ", "Multipart/Form-Data;boundary=\"XyZ\"",
                             "multipart/form-data; charset=utf-8 ; BOUNDARY=XyZ;"}) {
        INFO(type);
        CHECK(gateway::find_form_model(type, body).field.value == "m");
    }
    const std::string java = "----=_Part_1.2:3";
    CHECK(gateway::find_form_model(
              "multipart/form-data; boundary=" + java,
              "--" + java + "\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--" + java + "--")
              .field.value == "m");
    for (const auto& type :
         {std::string{"multipart/form-data"}, std::string{"multipart/form-data; boundary="},
          std::string{"multipart/form-data; boundary=XyZ; boundary=XyZ"},
          std::string{"multipart/form-data; boundary=\"XyZ"},
          std::string{"multipart/form-data; boundary=\"X\\yZ\""},
          "multipart/form-data; boundary=" + std::string(71, 'x')}) {
        INFO(type);
        CHECK(gateway::find_form_model(type, body).problem.find("boundary") != std::string::npos);
    }
}

TEST_CASE("a form that backends could read in two ways is refused, and says where") {
    const auto model = field_part("model", "m");
    const std::string disposition = "--XyZ\r\nContent-Disposition: form-data; name=\"model\"";
    struct Case {
        std::string body;
        std::string says;
        bool about_model = false;
    };
    const std::vector<Case> cases{
        {"", "must begin with its boundary"},
        {"preamble\r\n" + model + form_end, "must begin with its boundary"},
        {"\r\n" + model + form_end, "must begin with its boundary"},
        {model, "without its last boundary"},
        {model + "--XyZ", "begins like the form's boundary"},
        {model + "--XyZw\r\n\r\n\r\n" + form_end, "begins like the form's boundary"},
        {model + "--XyZ \r\n\r\n\r\n" + form_end, "begins like the form's boundary"},
        {model + form_end + model + form_end, "after the form's last boundary"},
        {"--XyZ\r\n" + std::string(9000, 'x') + "\r\n\r\n\r\n" + form_end, "within 8 KiB"},
        {"--XyZ\r\n\r\nm\r\n" + form_end, "no Content-Disposition"},
        {"--XyZ\r\nContent-Type: text/plain\r\n\r\nm\r\n" + form_end, "no Content-Disposition"},
        {disposition + "\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nm\r\n" + form_end,
         "two Content-Disposition"},
        {disposition + "\r\n folded: x\r\n\r\nm\r\n" + form_end, "no header field"},
        {disposition + "\nX: y\r\n\r\nm\r\n" + form_end, "no header field"},
        {"--XyZ\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nm\r\n" + form_end,
         "must be form-data"},
        {"--XyZ\r\nContent-Disposition: form-data, name=\"model\"\r\n\r\nm\r\n" + form_end, "malformed"},
        {"--XyZ\r\nContent-Disposition: form-data; name=\"model\r\n\r\nm\r\n" + form_end, "malformed"},
        {"--XyZ\r\nContent-Disposition: form-data; name=\"mod\\el\"\r\n\r\nm\r\n" + form_end,
         "one plain name"},
        {"--XyZ\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nm\r\n" + form_end,
         "one plain name"},
        {"--XyZ\r\nContent-Disposition: form-data\r\n\r\nm\r\n" + form_end, "one plain name"},
        {disposition + "; name=\"x\"\r\n\r\nm\r\n" + form_end, "one plain name"},
        {model + model + form_end, "two fields \"model\"", true},
        {field_part("model", "m", "; filename=\"m\"") + form_end, "not a file", true},
        {disposition + "\r\nContent-Transfer-Encoding: base64\r\n\r\nbQ==\r\n" + form_end, "not a file",
         true},
        {field_part("model", "") + form_end, "must name a model", true},
        {field_part("model", "a\nb") + form_end, "control characters", true},
    };
    for (const auto& each : cases) {
        INFO(each.body);
        const auto scan = gateway::find_form_model(form_type, each.body);
        CHECK(scan.problem.find(each.says) != std::string::npos);
        CHECK(scan.problem.find("(at byte ") != std::string::npos);
        CHECK(scan.about_model == each.about_model);
    }
}
