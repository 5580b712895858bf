// Browser and operating system of user agents, against uap-core's own cases (Debian package uap-core): each case names the expected
// family and version, so the expected values come from the rules' authors. All agree.
#include "enrich/agents.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "enrich_support.hpp"

namespace {

using namespace mirox::enrich;
namespace fs = std::filesystem;

const std::string kUapCore = "/usr/share/uap-core/";
const std::string kRulesPath = kUapCore + "regexes.yaml";

struct Parser {
    explicit Parser(const std::string& path = kRulesPath) : agents(open_agents(path.c_str())) {}
    ~Parser() { close_agents(agents); }
    Parser(const Parser&) = delete;
    Parser& operator=(const Parser&) = delete;

    AgentInfo resolve(std::string_view agent, Status expected = Status::ok) {
        AgentInfo info;
        EXPECT_EQ(resolve_agent(*agents, agent, info, why), expected) << why;
        return info;
    }

    Agents* agents;
    char why[kReasonBytes] = "";
};

std::string scalar(const YAML::Node& node) {
    return node && node.IsScalar() ? node.Scalar() : std::string();
}

struct Case {
    std::string agent, shown;
};

// What is shown of a case: the family and three parts of the version, but two of "126.0.0".
std::vector<Case> cases_of(const std::string& file) {
    std::vector<Case> cases;
    for (const YAML::Node& node : YAML::LoadFile(kUapCore + file)["test_cases"]) {
        Case c{scalar(node["user_agent_string"]), scalar(node["family"])};
        std::string version;
        for (const char* part : {"major", "minor", "patch"}) {
            const std::string value = scalar(node[part]);
            if (value.empty()) break;
            version += (version.empty() ? " " : ".") + value;
        }
        if (version.ends_with(".0.0")) version.resize(version.size() - 2);
        if (c.shown == "Other") c.shown.clear();
        if (!c.shown.empty()) c.shown += version;
        cases.push_back(std::move(c));
    }
    return cases;
}

TEST(WorkerEnrichAgent, AgreesWithTheCasesOfUapCore) {
    Parser parser;
    std::size_t browsers = 0, systems = 0;
    for (const char* file : {"tests/test_ua.yaml", "test_resources/firefox_user_agent_strings.yaml",
                             "test_resources/opera_mini_user_agent_strings.yaml",
                             "test_resources/podcasting_user_agent_strings.yaml", "test_resources/pgts_browser_list.yaml"})
        for (const Case& c : cases_of(file)) {
            EXPECT_EQ(parser.resolve(c.agent).browser.view(), c.shown) << c.agent;
            ++browsers;
        }
    for (const char* file : {"tests/test_os.yaml", "test_resources/additional_os_tests.yaml"})
        for (const Case& c : cases_of(file)) {
            EXPECT_EQ(parser.resolve(c.agent).os.view(), c.shown) << c.agent;
            ++systems;
        }
    EXPECT_GE(browsers, 14515u);  // of uap-core 0.16.0
    EXPECT_GE(systems, 479u);
}

TEST(WorkerEnrichAgent, GivesTextForPeople) {
    struct {
        const char *agent, *browser, *os;
    } const cases[] = {
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36",
         "Chrome 126.0", "Windows 10"},
        {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.78 "
         "Safari/537.36",
         "Chrome 60.0.3112", "Linux"},
        {"curl/8.5.0", "curl 8.5.0", ""},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "FxiOS/123.0.1 Mobile/15E148 Safari/605.1.15",
         "Firefox iOS 123.0.1", "iOS 17.3"},
        {"FxiOS/123.0", "Firefox iOS 123.0", ""},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/17.4 Mobile/15E148 Safari/604.1",
         "Mobile Safari 17.4", "iOS 17.4"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox 127.0",
         "Mac OS X 10.15"},
        {"python-requests/2.31.0", "Python Requests 2.31", ""},
        {"Ace Explorer", "", ""},
        {"", "", ""},
    };
    Parser parser;
    for (const auto& c : cases) {
        const AgentInfo info = parser.resolve(c.agent);
        EXPECT_EQ(info.browser.view(), c.browser) << c.agent;
        EXPECT_EQ(info.os.view(), c.os) << c.agent;
    }
}

// Rules of our own, to see the specification's words one by one.
constexpr char kRules[] = R"(# a comment
user_agent_parsers:
  - regex: '(Fox|Hare)/(\d+)\.(\d+)(?:\.(\w+))?'
  - regex: 'Fox'
    family_replacement: 'Never reached with a version'
  - regex: '(cat) (\S+) (\S+) (\S+)'
    family_replacement: 'Wild $1'
    v1_replacement: '$2$3'
    v2_replacement: 'x$4'
    v3_replacement: '$9'
  - regex: 'loud(ly)?'
    regex_flag: 'i'
    family_replacement: ' Loud$1 '
  - regex: '(Nest)/(\d+)\.(\d+)(\.(\d+)|)'
  - regex: '(Pair)/(\d+)(\.(\d+)|)'
  - regex: '(Dots)/(\d+)(\.\.\d+)'
  - regex: 'nofamily'
    family_replacement: 'Other'
    v1_replacement: '7'
  - regex: '(?=ahead)ahead'
    family_replacement: 'Look-ahead'
  - regex: '(same)\1'
  - regex: '(É[a-zé]+)/(\d+)'
  - regex: '^long (.*) v(.*)$'
device_parsers:
  - regex: '((((('
os_parsers:
  - regex: '(Sys) (\d)(\d)(\d)(\d)'
  - regex: 'zero (\d+)\.(\d+)\.(\d+)\.(\d+)'
    os_replacement: 'Zero'
    os_v1_replacement: '$1'
    os_v2_replacement: '$2'
    os_v3_replacement: '$3'
    os_v4_replacement: '$4'
)";

TEST(WorkerEnrichAgent, FollowsTheSpecification) {
    TemporaryFile file("rules.yaml");
    file.replace(kRules);
    Parser parser(file.path);
    struct {
        const char *agent, *shown;
    } const browsers[] = {
        {"a Fox/1.2 b", "Fox 1.2"},
        {"Hare/1.2.3b", "Hare 1.2.3b"},
        {"Hare/9.0.0", "Hare 9.0"},
        {"Fox", "Never reached with a version"},
        {"fox/1.2", ""},
        // A group that holds the dot before a part, and a group within for the part alone.
        {"Pair/1", "Pair 1"},
        {"Pair/1.2", "Pair 1.2"},
        {"Nest/1.2", "Nest 1.2"},
        {"Nest/1.2.3", "Nest 1.2.3"},
        {"Nest/1.0.0", "Nest 1.0"},
        {"Dots/1..2", "Dots 1.2"},
        {"cat a b c", "Wild cat ab.xc"},
        {"lOUD", "Loud"},
        {"LOUDLY", "LoudLY"},
        {"nofamily", ""},
        {"ahead", ""},
        {"samesame", ""},
        {"Élan/4", "Élan 4"},
        {"élan/4", ""},
    };
    for (const auto& c : browsers) {
        const AgentInfo info = parser.resolve(c.agent);
        EXPECT_EQ(info.browser.view(), c.shown) << c.agent;
        EXPECT_TRUE(info.os.empty());
    }
    EXPECT_EQ(parser.resolve("Sys 1234").os.view(), "Sys 1.2.3");
    EXPECT_EQ(parser.resolve("zero 10.0.0.5").os.view(), "Zero 10.0");
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += piece;
    return out;
}

bool well_formed(std::string_view text) {
    return mirox::core::check_line(text) == mirox::core::NameStatus::ok;
}

TEST(WorkerEnrichAgent, BoundsWhatItGives) {
    TemporaryFile file("rules.yaml");
    file.replace(kRules);
    Parser parser(file.path);
    const auto browser = [&](const std::string& agent) { return std::string(parser.resolve(agent).browser.view()); };
    EXPECT_EQ(browser("long " + repeated("é", 100) + " v1"), repeated("é", 64));
    EXPECT_EQ(browser("long " + repeated("€", 100) + " v1"), repeated("€", 42) + " 1");  // 126 bytes; the next would not be whole
    // A version that does not fit beside the family is left out whole.
    EXPECT_EQ(browser("long " + repeated("x", 126) + " v12"), repeated("x", 126));
    EXPECT_EQ(browser("long " + repeated("x", 125) + " v12"), repeated("x", 125) + " 12");
    // Bytes that are no UTF-8, and control characters.
    EXPECT_EQ(browser("long a\xff\xc3(\x07\xc2\x85\xed\xa0\x80z v1"), "a\uFFFD\uFFFD(??\uFFFD\uFFFD\uFFFDz 1");
    // 512 bytes are looked at.
    EXPECT_EQ(browser(repeated(" ", 506) + "Fox/1.2"), "Never reached with a version");
    EXPECT_EQ(browser(repeated(" ", 505) + "Fox/1.2"), "Fox 1.2");
    EXPECT_EQ(browser(repeated("é", 100000) + "Fox/1.2"), "");
}

// A rule of the costliest kind that a file may hold, as often as it may: an agent gets its time, and no more.
TEST(WorkerEnrichAgent, StandsHostileRules) {
    TemporaryFile file("rules.yaml");
    std::string rules = "os_parsers:\n  - regex: 'x'\nuser_agent_parsers:\n";
    for (int i = 0; i < 2000; ++i) rules += "  - regex: '(?:a?){" + std::to_string(1 + i % 300) + "}(?:[ab]{1,9}c){9}$'\n";
    file.replace(rules);
    Parser parser(file.path);
    parser.resolve("");  // reads them
    const std::clock_t begun = std::clock();
    EXPECT_TRUE(parser.resolve(repeated("ab", 256)).browser.empty());
    EXPECT_LT(std::clock() - begun, 2 * CLOCKS_PER_SEC);
    file.replace(rules + "  - regex: 'one too many'\n");
    EXPECT_TRUE(parser.resolve("ab").browser.empty());
    EXPECT_NE(std::string_view(parser.why).find("too long"), std::string_view::npos) << parser.why;
}

TEST(WorkerEnrichAgent, StandsHostileAgents) {
    std::vector<std::string> agents_seen;
    for (const Case& c : cases_of("tests/test_ua.yaml")) agents_seen.push_back(c.agent);
    Parser parser;
    std::uint64_t state = 20240607;
    const auto random = [&state](std::size_t below) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::size_t>((state >> 33) % below);
    };
    for (int round = 0; round < 1500; ++round) {
        std::string agent;
        while (agent.size() < 600) {  // pieces of real agents, so that many rules are tried; some bytes spoilt
            const std::string& real = agents_seen[random(agents_seen.size())];
            agent += real.substr(random(real.size() + 1), 3 + random(30));
            if (random(4) == 0) agent += static_cast<char>(random(256));
        }
        const AgentInfo info = parser.resolve(agent);
        ASSERT_TRUE(well_formed(info.browser.view())) << agent;
        ASSERT_TRUE(well_formed(info.os.view())) << agent;
    }
    for (int byte = 0; byte < 256; ++byte) parser.resolve(std::string(512, static_cast<char>(byte)));
}

TEST(WorkerEnrichAgent, SaysWhyItCannotReadTheRules) {
    TemporaryFile file("rules.yaml");
    struct {
        std::string text;
        Status status;
        const char* why;
    } const cases[] = {
        {"", Status::invalid, "not a map"},
        {"just words", Status::invalid, "not a map"},
        {"a: [1, 2", Status::invalid, "yaml-cpp"},
        {"user_agent_parsers:\n  - regex: 'a'\n", Status::invalid, "os_parsers"},
        {"user_agent_parsers: 5\nos_parsers: []\n", Status::invalid, "user_agent_parsers"},
        {"user_agent_parsers: []\nos_parsers: []\n", Status::invalid, "no rule"},
        {"user_agent_parsers: [{regex: '(?=a)'}]\nos_parsers: [{regex: a}]\n", Status::invalid, "no rule"},
        {"user_agent_parsers: [5]\nos_parsers: [{regex: a}]\n", Status::invalid, "regex"},
        {"user_agent_parsers: [{regex: [a]}]\nos_parsers: [{regex: a}]\n", Status::invalid, "regex"},
        {std::string("a: b\0c", 6), Status::invalid, "zero byte"},
        {std::string(200000, '['), Status::invalid, "yaml-cpp"},
        {repeated("- ", 100000), Status::invalid, "yaml-cpp"},
        {repeated("{a: ", 100000), Status::invalid, "yaml-cpp"},
        {repeated("? ", 100000), Status::invalid, "yaml-cpp"},
        {"a: " + std::string(9 << 20, 'x'), Status::unreadable, "too large"},
        {"\xff\xfe\x00\x01garbage", Status::invalid, ""},
    };
    for (const auto& c : cases) {
        file.replace(c.text);
        Parser parser(file.path);
        for (int round = 0; round < 2; ++round) {  // the second is the answer kept in mind
            const AgentInfo info = parser.resolve("curl/8.5.0", c.status);
            EXPECT_TRUE(info.browser.empty());
            EXPECT_NE(std::string_view(parser.why).find(c.why), std::string_view::npos) << parser.why;
        }
        char tiny[4] = {'#', '#', '#', '#'};
        AgentInfo again{};
        EXPECT_EQ(resolve_agent(*parser.agents, "curl/8.5.0", again, tiny), c.status);
        EXPECT_EQ(tiny[3], '\0');
        EXPECT_EQ(resolve_agent(*parser.agents, "curl/8.5.0", again, {}), c.status);
    }

    Parser missing(file.directory + "/none.yaml");
    missing.resolve("curl/8.5.0", Status::unreadable);
    EXPECT_NE(std::string_view(missing.why).find("No such file"), std::string_view::npos) << missing.why;

    Parser folder(file.directory);
    folder.resolve("curl/8.5.0", Status::unreadable);

    // A pipe that nobody writes to must not hold the worker.
    const std::string pipe = file.directory + "/pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    Parser piped(pipe);
    piped.resolve("curl/8.5.0", Status::unreadable);
    EXPECT_NE(std::string_view(piped.why).find("regular"), std::string_view::npos) << piped.why;

    Parser long_path("/" + std::string(5000, 'p'));
    long_path.resolve("curl/8.5.0", Status::unreadable);
}

TEST(WorkerEnrichAgent, ReadsChangedRulesAndKeepsOldOnesWhenTheyBreak) {
    TemporaryFile file("rules.yaml");
    const std::string head = "os_parsers:\n  - regex: 'x'\n    os_replacement: X\nuser_agent_parsers:\n";
    Parser parser(file.path);
    parser.resolve("x", Status::unreadable);
    file.replace(head + "  - regex: 'x'\n    family_replacement: One\n");
    EXPECT_EQ(parser.resolve("x").browser.view(), "One");
    file.replace(head + "  - regex: 'x'\n    family_replacement: Two\n");
    EXPECT_EQ(parser.resolve("x").browser.view(), "Two");
    file.replace("broken: [");
    EXPECT_EQ(parser.resolve("x").browser.view(), "Two");
    EXPECT_STRNE(parser.why, "");
    fs::remove(file.path);
    EXPECT_EQ(parser.resolve("x x").os.view(), "X");
    file.replace(head + "  - regex: 'x'\n    family_replacement: Three\n");
    EXPECT_EQ(parser.resolve("x").browser.view(), "Three");
    EXPECT_STREQ(parser.why, "");
}

}  // namespace
