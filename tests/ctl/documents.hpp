// Answers as the contract of the admin API describes them.
#pragma once

namespace test {

inline constexpr auto backends_document = R"({"status":"success","data":{
    "strategy":"least_connections","total_backends":3,"healthy_backends":2,"backends":{
    "primary":{"config":{"name":"primary","url":"http://10.0.0.6:8000","model_name":"qwen","weight":3,
            "max_connections":50,"timeout":30.0,"priority":0,"tags":["fast","primary"]},
        "metrics":{"status":"healthy","state":"healthy","total_requests":120,"successful_requests":119,
            "failed_requests":1,"active_connections":7,"average_response_time":0.2514,"success_rate":0.99166,
            "consecutive_failures":0,"last_error":null,"last_check_time":1700000000.5}},
    "主力 甲":{"config":{"name":"主力 甲","url":"http://10.0.0.7:8000","model_name":"qwen","weight":10,
            "max_connections":5,"timeout":30.0,"priority":1,"tags":[]},
        "metrics":{"status":"unhealthy","state":"half_open","total_requests":3,"successful_requests":0,
            "failed_requests":3,"active_connections":0,"average_response_time":0.0,"success_rate":0.0,
            "consecutive_failures":3,"last_error":"refused\nthe \u001b[31mconnection","last_check_time":null}},
    "off":{"config":{"name":"off","url":"http://10.0.0.8:8000","weight":1,"max_connections":50,"priority":0},
        "metrics":{"status":"disabled","total_requests":0,"active_connections":0}}}}})";

inline constexpr auto status_document = R"({"status":"success","data":{"enabled":true,"mode":"multi_backend",
    "strategy":"least_connections","total_backends":3,"healthy_backends":2,"unhealthy_backends":1,
    "health_check_running":true,"available_backends":["primary","off"],
    "overall_statistics":{"total_requests":123,"success_rate":0.975,"average_response_time":0.25}}})";

inline constexpr auto metrics_document = R"({"status":"success","data":{"strategy":"random",
    "total_backends":1,"healthy_backends":1,"backends":{"primary":{"status":"healthy","total_requests":120,
    "successful_requests":119,"failed_requests":1,"active_connections":7,"average_response_time":0.2514,
    "success_rate":0.99166,"consecutive_failures":2,"last_error":"timeout","last_check_time":1700000000}}}})";

inline constexpr auto health_document = R"({"status":"success","data":{"backend":"primary",
    "health_status":"unhealthy","last_check_time":1700000000.25,"consecutive_failures":2,
    "last_error":"connection refused"}})";

inline constexpr auto strategy_document = R"({"status":"success","data":{"strategy":"random",
    "health_check_interval":15.5,"max_retries":2,"failure_threshold":3,
    "available_strategies":["round_robin","random"]}})";

inline constexpr auto done_document = R"({"status":"success","message":"it was done"})";

}  // namespace test
