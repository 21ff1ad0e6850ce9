// The program of the CMakeLists.txt that the README shows.
#include "../consumer.cpp"
