// What the Makefile puts before each file that holds no server call: the server's headers, which say these words, cannot follow.
#pragma once

#pragma GCC poison palloc ereport
