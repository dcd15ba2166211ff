<?php
CModule::IncludeModule('im');
echo json_encode(['message' => CIMChat::AddSystemMessage(array(
	'CHAT_ID' => 21441,
	'FROM_USER_ID' => 6,
	'MESSAGE' => 'Строка #WHAT#',
	'MESSAGE_REPLACE' => array('#WHAT#' => 'чата'),
))]);
