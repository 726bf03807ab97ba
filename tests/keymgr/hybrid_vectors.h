// SPDX-License-Identifier: Apache-2.0
//
// Made by hybrid_vectors.py: a key in its two files, and a slot for it, of the checkpoint 40..4f
// and the data key 80..9f, with the two secrets that open it.
#pragma once

#include <string_view>

namespace ckptseal::vectors {

inline constexpr std::string_view hybrid_private_pem =
    "-----BEGIN CKPT-SEAL HYBRID PRIVATE KEY-----\n"
    "Zl0GmNvI+5Wvwlw6TZzygNh6WFt5mSQ8pgCP0DJYl1988uVzDN6iL3wvbo+5Jv9z\n"
    "hGSyDsYaW4ocg/T6zs2uMG8pordoUi1c8PNndH8wzjnHSGMnj65sJ+F86eMLbMvZ\n"
    "-----END CKPT-SEAL HYBRID PRIVATE KEY-----\n";
inline constexpr std::string_view hybrid_public_pem =
    "-----BEGIN CKPT-SEAL HYBRID PUBLIC KEY-----\n"
    "RauljbtjmefEjMpGudsjz9BXItM6Tcv4l4qC2KNG4DpnIQUOyBTBC0tIsw/1kgBT\n"
    "sn2CJKi5awx2u4QK/Dv8Un3F2mIt/Bdfy4Gn52aWZqE+Fbe+ORx3ZkcydLYGR83A\n"
    "lFrFWXTA7DTC0LpLdggmZQ/UG8jrth+0uR0NCaTppYZqrHKNFrSQ+5nniJBR8yjO\n"
    "eK3JqcLo0Wirt2M8kQB2oojRW0lr1imcw6b9I3GTlrlXM04F9x7MmXVrBRPLZXLe\n"
    "XJ2mXLareibF0iJpzKWmQCOeM3DUAcKXHB5JFs7QSb4qe3ULmSvD9SmkA6X4cR7F\n"
    "YYn24YjTM3MmWiAHm8rr7FGdZpLaoyG7YWcjeysyGCdKiVHzuiUiC26ZaYeEEWlQ\n"
    "5YxGerlMdFXu623C+s/MglDEdiwkJ25N+bAOQUADujJGlhq3XMfRNWTQ4qY60She\n"
    "4Fo5tpEnN5zMNH8yLG+dwJjfzLfxkVuMKbhfMb98CrwAmHTj9iBnC7cX4aHH2CS+\n"
    "uQhxO4PjswCYYSQP600/dZdveigfKEho15gBZziUDISul1YZ9c1dFgpNkKjuMT7q\n"
    "qYip7FV00JX+tE5+E1gd+0LTXBcWRMJFCp8FNFbHc8Z2aQKCPDsuwqkl06eK0rv+\n"
    "ibo7QUKdYnWXygy7W7OsQANAkIHQ+CNwQafNxVfZhU6l6FYx9JVYq672C0eTykEH\n"
    "Vxerd3cYeGiu2A9yMjyBW6cvIqJudUErpRaPpsWKmFnD6VfT2GzhATUolJgYsL91\n"
    "kSWm9BaoqQPm6QexBcQV1HO8gAhYx3clQzTKAJbFTMgXxF/c93ZWFGNBe0gRQg0j\n"
    "C1W8i6NeAp8rCaHhq0g1aiZRwB0nWpj1WaQJyRxguS2y6QiBVzN28ZqYRpf4q7gu\n"
    "aDBG6glE0cSg039ItiYx1kZaB5l9cRRwWx97NbnwY3w7l6cdcJGSg5xkOUU5gaDJ\n"
    "C5h1IZ6ZxSjkSo4+gGvGfMrrI2EmpCFA43fNFkNFZIIUO1P9pjTx0b3WRXgiOM5d\n"
    "lW6bx3hOmGgdd1JaJCc0CVFP8srJEVTEOcd30oer9l0OkabbQhBbqstv2zJrCy6v\n"
    "aqfR4Ge7AX1j0Hob8w0s8KxCBQwRej0Sc17eOCmb6ZCiLEQk4Xk0InZreQ3J8mZz\n"
    "EhvVXIGlGmJDKnE7dTO4NxV5JaVvg4LAyHCrVghGEWxsqAWdo4O2g3uiEH/VZR3q\n"
    "Jmk5a59WiU4TkaDi95LO9zsMNy9HGcyEpgpakWoeNIAA2BShhBsxWVmJJneeWSDV\n"
    "42UzEGZGuaR4IjuGQ3RFQgrYYj+iJk+bQi9waJ5GUYkebKYt5sivuVZIpDd/HC+6\n"
    "Apy+6hcuBb7tccX5vGXMJTZk+JLzFc4poIjhZ6QYdCFfS48FRbqaKKByeBBW5COl\n"
    "gk4dawm0Q1f4bETYPJNjIsPP5pP/64Lxek/mgFlbSycsGlzOebvAgViji0BLarov\n"
    "w2zf67ivVB8/gpB8ypdyK30qAmgXfJVXg84TAQ/Q2SwmQL4xhmsGvILtwc+YNyI9\n"
    "cM/mY4zia2PhsIGkRrbRVbHtoBiKGm6sZm8GXJNEt5sC1ejKHLqcYE7KMAbRPCY/\n"
    "03PycFQYL42JHY9HRBhhIA==\n"
    "-----END CKPT-SEAL HYBRID PUBLIC KEY-----\n";
inline constexpr std::string_view hybrid_key_id =
    "d8c15336a39f9e170a1eb08f5eb4993f51de730e79d3db9de14b411c2fd33ebd";
inline constexpr std::string_view hybrid_slot =
    "d8c15336a39f9e170a1eb08f5eb4993f51de730e79d3db9de14b411c2fd33ebd0b617263686976652e707562e2"
    "9d7521911498b837ed692d12a81587898e0ac3f6208eac1069bca82fb6b6333ba336175a4f0936d5513bd72eff"
    "5fb5981303c50e60b1dde6cddf67341be8125f9610cf28c925b987868b8406a09cfe8725055c118b285cee9996"
    "c24aa28097c7afea56c7378496afa14f1e8e917850cb84143536679734f1985fd000c8c94c1c8b6945d7266e2e"
    "6c0b1424d183864f7f871ee32efb4b30ae1ccf6a08895eb4bdfa78cae5cd4a0c83b3c4ceb1155593941dab7315"
    "841a4120e1ad13ca9489b58c3dcc2ecd0fabaf942de4fa7272c55208c1b10d77adedbeea2e06b73cf7a900433e"
    "bac496811d41a96ef6e3d20274b427a7ef5423257666b848fd9259f4f8649c4d95c728ede3a61af9856eb0f5dc"
    "ba6cdfbd30cf11e823b5349a1c0acc573e7be53885434736cd5915abd97328e0598116853a379b1956d7a0da7f"
    "2f6feb37b6d257d9001ad04494d5231263b98538591683b9de3c4442bb3f6184b6784e84723bb7440246b6be00"
    "4a775f21329bcbbc413139dc70fdeab0f026badb4e989b59fc30b1b884de109b8193923f5a48defdf27772700d"
    "ba6fcb6c096cc463732de0715f8cef98ff11bddc63b80e508aa577f6cba414d3d1542bf2c28e49daf043c49a9c"
    "58e8403a85d93c4ca73641f1c8fd9b62a68f05ee5bbff9c80e0917adbaaee4b21f9fe91604a215ba7a1143fa1b"
    "9030467379eb270dd28bf437df704f30b61f3d262fd4ab111d3e1222bd2a7ee57971647cd78467d1fd0919458c"
    "b9a4b609e1303b3cac344f16adae9d37ec9d2690c4b170f422eb18ba3ad74477d83b31ce7323432bbbcd7bdc64"
    "645fef6a1d8ec331ff6ea096ec9725771f16eaa1e6a7d87e3fd19cbfe6798dd17fa886f34d0ee304d6d0410262"
    "adc98a0e9d1b0c0f98f52205945714dacaf6be5aac7d513d47e57ddae470252ae27dd984f8c0c046dc36aab46f"
    "85c12cedf91a13b39b85872b0d6dfb10f96339aaeb138b850c36e31a8a1a06e6f7112d5df8f6fce893be436025"
    "8ca22832e471020337db41c5cb36c3b76605148e201059b3f9f1aaa607f6d4bb73cbabf2b4db0ff7913e9814a2"
    "1b38f444d832bec880b3eace1331b002ff7b9fd0a9f65a31a308432b428636dd4be300927e2cfbe7b904327335"
    "c69140981e8513afc8bf85a1381fbe07a9a060bad4e8e04624138716f273a15d7e774e9f516eae4cdf0a0473e1"
    "f424c730936a5222585c6f1156301ff8a73866e13e19a61490f7c7c3dfc70e9536a589205df7e63e86e6d33ecd"
    "c7705ba7e28b12fddd4f91771053a67c7b1fb7ab4bc9e10634e71c586860beab6a03eabdfc6efa3ef4e11ed4f5"
    "c0671da07d0f4aab5ebd79e200ec61f7165524cd08573a18c1227d5a977b9587525feaaac581d7438bc3683160"
    "be3168de6909be9788a1ca1e2118657a07dee3d2692fc1e595dbe7d0393d33269f810d44947c80d002a9a682c7"
    "20c4e6e33857c78dbbe17eb15dc5183eb9ce01416f65551b31ffd981677205e48809f60e498cb3d6cb23d8a0fa"
    "d6c229b2a6aba1d97142ccb334c27d15d1e36588a3dc16f410decd15cfc237c1413d5251b495fd330c4c72ae81"
    "cdf0b3c1caa862481d8ba1349bd36706ffaa2c903aba54d0f4cc3b6d877b8f2a5a6cb9cd0f55b5d2a32a";
inline constexpr std::string_view hybrid_kem_secret =
    "b8c8f40c67e8cdcaad498678c45c546f7af93cb21fd1d27555cb28631b3b3421";
inline constexpr std::string_view hybrid_agreed_secret =
    "b8fd8a48211a64b643d799d38178088b6b16903124b0ae8bd1aa9c0af9644e66";

}  // namespace ckptseal::vectors
