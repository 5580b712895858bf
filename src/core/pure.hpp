// The Makefile includes this in each file that must hold no server call. The poisoned words stand in the server headers, so none
// of those can be included afterwards.
#pragma once

#pragma GCC poison palloc ereport
