// What the tests of src/enrich share.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

// A file in a folder of its own, both gone at the end.
struct TemporaryFile {
    explicit TemporaryFile(const char* name) {
        char folder[] = "/tmp/mirox_enrich_XXXXXX";
        if (mkdtemp(folder) == nullptr) std::abort();
        directory = folder;
        path = directory + "/" + name;
    }
    ~TemporaryFile() { std::filesystem::remove_all(directory); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    void overwrite(std::string_view bytes) const { std::ofstream(path, std::ios::binary) << bytes; }
    // Puts another file in its place, as an update does.
    void replace(std::string_view bytes) const {
        std::ofstream(path + ".new", std::ios::binary) << bytes;
        std::filesystem::rename(path + ".new", path);
    }

    std::string directory;
    std::string path;
};
