<?php
if (CModule::IncludeModule("im")) {
	$out = [];
	foreach (['A', 'B', 'B'] as $tag) {
		$arMessageFields = array(
			"TO_USER_ID" => 5,
			"FROM_USER_ID" => 6,
			"NOTIFY_TYPE" => IM_NOTIFY_FROM,
			"NOTIFY_MODULE" => "tasks",
			"NOTIFY_EVENT" => "comment",
			"NOTIFY_TAG" => "TASK|$tag",
			"NOTIFY_SUB_TAG" => "TASKS",
			"NOTIFY_MESSAGE" => "Новая задача $tag",
			"NOTIFY_MESSAGE_OUT" => "Задача $tag для почты",
		);
		$out[] = CIMNotify::Add($arMessageFields);
	}
	$out[] = CIMNotify::Add(array(
		"TO_USER_ID" => 5, "FROM_USER_ID" => 0, "NOTIFY_TYPE" => IM_NOTIFY_SYSTEM, "NOTIFY_MODULE" => "im",
		"NOTIFY_SUB_TAG" => "TASKS", "NOTIFY_MESSAGE" => "От системы",
	));
	echo json_encode(['ids' => $out, 'count' => (new CIMNotify(5))->GetNotifyCounter(), 'error' => CIMMessenger::$LAST_ERROR]);
}
