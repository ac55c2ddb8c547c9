// Starts the program that compute-sanitizer looks at. The tool starts it through a helper that lies beside it, which
// its wheel does not have; this is what it needs of it. Linked statically: the libraries that the tool has preloaded
// into the program are not for the one that only starts it.
//
// usage: launcher ARGUMENT... PROGRAM

#include <cstdio>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

int main(int count, char** words) {
    if (count < 2) return 2;
    char* program = words[count - 1];
    std::vector<char*> arguments{program};
    arguments.insert(arguments.end(), words + 1, words + count - 1);
    arguments.push_back(nullptr);
    // What the program starts and leaves behind stays where the tool finds it.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    execv(program, arguments.data());
    std::perror(program);
    return 127;
}
