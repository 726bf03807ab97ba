# SPDX-License-Identifier: Apache-2.0
# Compiler settings that hold for every target, and the one way in which a folder becomes a library.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

option(CKPTSEAL_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(CKPTSEAL_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(CKPTSEAL_STEPS "Let tests stop ckpt-seal at the steps of dump and restore; not for installing" OFF)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(ckptseal_settings INTERFACE)
target_include_directories(ckptseal_settings INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(ckptseal_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -Wnull-dereference -Werror -fstack-protector-strong -fno-omit-frame-pointer)
target_link_options(ckptseal_settings INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
if(CKPTSEAL_SANITIZE OR CKPTSEAL_FUZZ)
  target_compile_definitions(ckptseal_settings INTERFACE CKPTSEAL_SANITIZED)
endif()
if(CKPTSEAL_STEPS)
  target_compile_definitions(ckptseal_settings INTERFACE CKPTSEAL_STEPS)
endif()
if(CKPTSEAL_SANITIZE)
  target_compile_options(ckptseal_settings INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -g1)
  # g++ 12 with sanitizers reports null dereferences in libstdc++ that are none.
  target_compile_options(ckptseal_settings INTERFACE -Wno-null-dereference
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(ckptseal_settings INTERFACE -fsanitize=address,undefined)
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(ckptseal_settings INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(CKPTSEAL_FUZZ)
  target_compile_options(ckptseal_settings INTERFACE -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all)
  target_link_options(ckptseal_settings INTERFACE -fsanitize=address,undefined)
endif()

# ckptseal_library(NAME SOURCES file... LINKS target...): one static library per folder.
function(ckptseal_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ckptseal_settings ${ARG_LINKS})
endfunction()
